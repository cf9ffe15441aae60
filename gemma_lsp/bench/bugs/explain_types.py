"""What `bench explain` writes down: one row a task, filled part by part, and what the rows add up to. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from gemma_lsp.bench.bugs.sums import Share, paired, share

PARTS = ("fix", "explain", "raw")


@dataclass(frozen=True, slots=True, kw_only=True)
class FixResult:
    """Our fix. `refused` says why none was offered, "" where one was. `edited`: lines that the edit touches."""

    offered: bool
    applies: bool = False
    parses: bool = False
    passes: bool = False
    refused: str = ""
    edited: int = 0
    generated: int = 0
    evaluated: int = 0
    ms: float = 0.0
    diff: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainResult:
    """Our explanation. `lines` are those that it names, from 0; `made` of its citations `found` stand in the file."""

    names: bool
    lines: tuple[int, ...]
    made: int
    found: int
    generated: int
    ms: float
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RawResult:
    """The baseline: one raw chat request. `proposed`: its answer holds a function that differs from the wrong one."""

    proposed: bool
    parses: bool
    passes: bool
    names: bool
    lines: tuple[int, ...]
    generated: int
    limit: int
    ms: float
    words: str


@dataclass(slots=True, kw_only=True)
class Row:
    """One task; a part that was not measured yet is None."""

    task: str
    n_lines: int
    changed: tuple[int, ...]
    fix: FixResult | None = None
    explain: ExplainResult | None = None
    raw: RawResult | None = None

    def missing(self, parts: Iterable[str]) -> tuple[str, ...]:
        """The parts that are still to be measured."""
        return tuple(part for part in parts if getattr(self, part) is None)


@dataclass(slots=True, kw_only=True)
class ExplainReport:
    """Everything. `about` says what was measured with; two runs with another `about` are not the same measurement."""

    about: dict[str, Any]
    rows: dict[str, Row] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The documented shape: about, sums, rows."""
        return {"about": self.about, "sums": self.sums(), "rows": [asdict(row) for row in self.rows.values()]}

    def sums(self) -> dict[str, Any]:
        """Shares with their intervals, each over the rows in which its parts were measured."""
        fixes = [row.fix for row in self.rows.values() if row.fix]
        words = [row.explain for row in self.rows.values() if row.explain]
        raws = [row.raw for row in self.rows.values() if row.raw]
        offered = [fix for fix in fixes if fix.offered]
        return {
            "fix": {
                "passes": share([fix.passes for fix in fixes]).to_json(),
                "offered": share([fix.offered for fix in fixes]).to_json(),
                "offered_apply": share([fix.applies for fix in offered]).to_json(),
                "offered_parse": share([fix.parses for fix in offered]).to_json(),
                "offered_pass": share([fix.passes for fix in offered]).to_json(),
                "edited_lines": _mean([fix.edited for fix in offered]),
                "generated": _mean([fix.generated for fix in fixes]),
            },
            "explain": {
                "names_change": share([found.names for found in words]).to_json(),
                "lines_named": _mean([len(found.lines) for found in words]),
                "by_chance": _mean([_chance(row) for row in self.rows.values() if row.explain]),
                "citations_made": sum(found.made for found in words),
                "citations_found": sum(found.found for found in words),
                "generated": _mean([found.generated for found in words]),
            },
            "raw": {
                "passes": share([raw.passes for raw in raws]).to_json(),
                "proposed": share([raw.proposed for raw in raws]).to_json(),
                "parses": share([raw.parses for raw in raws]).to_json(),
                "names_change": share([raw.names for raw in raws]).to_json(),
                "lines_named": _mean([len(raw.lines) for raw in raws]),
                "generated": _mean([raw.generated for raw in raws]),
            },
            "paired": {"fix_passes": self._paired_fixes(), "explain_names": self._paired_names()},
        }

    def _paired_fixes(self) -> dict[str, Any] | None:
        both = [(row.fix.passes, row.raw.passes) for row in self.rows.values() if row.fix and row.raw]
        found = paired([ours for ours, _ in both], [raw for _, raw in both])
        return found.to_json() if found else None

    def _paired_names(self) -> dict[str, Any] | None:
        both = [(row.explain.names, row.raw.names) for row in self.rows.values() if row.explain and row.raw]
        found = paired([ours for ours, _ in both], [raw for _, raw in both])
        return found.to_json() if found else None


def read_rows(rows: Iterable[Mapping[str, Any]]) -> dict[str, Row]:
    """Rows as they were written. Raises `TypeError` or `KeyError` for what is none."""
    kinds = {"fix": FixResult, "explain": ExplainResult, "raw": RawResult}
    found = {}
    for raw in rows:
        row = Row(task=raw["task"], n_lines=raw["n_lines"], changed=tuple(raw["changed"]))
        for name, kind in kinds.items():
            setattr(row, name, kind(**_tuples(raw[name])) if raw.get(name) else None)
        found[row.task] = row
    return found


def told_share(found: Mapping[str, Any]) -> str:
    """A share of `sums` in words."""
    return Share(found["n"], found["of"]).told()


def _tuples(found: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}


def _chance(row: Row) -> float:
    """How likely as many lines drawn blindly from the file hold a changed one."""
    n, named, changed = row.n_lines, len(row.explain.lines) if row.explain else 0, len(row.changed)
    miss = 1.0
    for k in range(min(named, n)):
        miss *= max(0, n - changed - k) / (n - k)
    return 1.0 - miss


def _mean(values: list[Any]) -> float | None:
    return round(sum(values) / len(values), 3) if values else None
