"""The shapes of `gemma-lsp bench edits`: what was measured, what it is held to, and the JSON that is kept.

No measuring here. Times are milliseconds to the first token.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from gemma_lsp.bench.llama_server import THEIRS, THEIRS_BEST

OURS = "gemma-lsp"

GOALS: Mapping[tuple[str, str], float] = {
    ("10%", THEIRS_BEST): 15.0,
    ("50%", THEIRS_BEST): 8.0,
    ("90%", THEIRS_BEST): 1.5,
    ("10%", THEIRS): 15.0,
    ("50%", THEIRS): 15.0,
    ("90%", THEIRS): 15.0,
}
"""How many times our evaluated tokens theirs are to be, by place and side."""
APPEND_MS = 1.1  # times llama-server's, at most
RESTART = 0.03  # of the cold time, at most


@dataclass(frozen=True, slots=True, kw_only=True)
class EditRow:
    """One answer of one side. `evaluated` of `prompt` tokens; `beyond`: without the request's own tail."""

    n_ctx: int
    prompt: int
    what: str
    arm: str
    changed: int
    evaluated: int
    beyond: int
    ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """The first answer after a restart, model loaded, against that of a cold cache (`cold_ms`, prefill included)."""

    n_ctx: int
    prompt: int
    restored: int
    evaluated: int
    ms: float
    cold_ms: float
    same_answer: bool

    @property
    def share(self) -> float:
        """Of the cold time."""
        return self.ms / self.cold_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class EditSum:
    """Medians over the runs of one place, context and side; the ratios are theirs by ours, None for ours."""

    n_ctx: int
    what: str
    arm: str
    prompt: float
    evaluated: float
    beyond: float
    ms: float
    evaluated_ratio: float | None
    ms_ratio: float | None
    goal: float | None

    @property
    def met(self) -> bool | None:
        """Whether the goal is; None where there is none."""
        return None if self.goal is None or self.evaluated_ratio is None else self.evaluated_ratio >= self.goal


@dataclass(frozen=True, slots=True, kw_only=True)
class Edits:
    """Everything a run found."""

    about: Mapping[str, Any]
    rows: tuple[EditRow, ...]
    restarts: tuple[Restart, ...]

    def sums(self) -> tuple[EditSum, ...]:
        """By context, place and side, in the order of measuring."""
        groups: dict[tuple[int, str, str], list[EditRow]] = {}
        for row in self.rows:
            groups.setdefault((row.n_ctx, row.what, row.arm), []).append(row)
        largest = max((row.n_ctx for row in self.rows), default=0)
        return tuple(_sum(key, rows, groups[(*key[:2], OURS)], largest) for key, rows in groups.items())

    def to_json(self) -> dict[str, Any]:
        """The documented shape of `--json`."""
        return {
            "about": dict(self.about),
            "sums": [{**asdict(s), "met": s.met} for s in self.sums()],
            "restarts": [{**asdict(r), "share": r.share, "met": r.share <= RESTART} for r in self.restarts],
            "rows": [asdict(r) for r in self.rows],
        }


def _sum(key: tuple[int, str, str], rows: Iterable[EditRow], ours: Iterable[EditRow], largest: int) -> EditSum:
    n_ctx, what, arm = key
    rows, ours = list(rows), list(ours)
    evaluated, ms = median(r.evaluated for r in rows), median(r.ms for r in rows)
    other = arm != OURS
    return EditSum(
        n_ctx=n_ctx,
        what=what,
        arm=arm,
        prompt=median(r.prompt for r in rows),
        evaluated=evaluated,
        beyond=median(r.beyond for r in rows),
        ms=ms,
        evaluated_ratio=evaluated / max(1, median(r.evaluated for r in ours)) if other else None,
        ms_ratio=ms / median(r.ms for r in ours) if other else None,
        goal=GOALS.get((what, arm)) if n_ctx == largest else None,
    )
