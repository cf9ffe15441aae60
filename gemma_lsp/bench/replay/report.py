"""What a bench found: plain data, its sums, a verdict in words, and the JSON. Pure; draws nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from gemma_lsp.bench.editing import Arm
from gemma_lsp.bench.llama_server import THEIRS, THEIRS_BEST
from gemma_lsp.bench.replay.costs import CostRow, Start
from gemma_lsp.bench.replay.facts import FactsRow
from gemma_lsp.bench.replay.fidelity import ArmFidelity, Fidelity, FidelityRow, summed_up

NOISE = 3.0  # times the noise floor that an untouched position may differ by
CLOSED = 0.9
MEDIAN_OVER, P95_OVER = 64, 256  # tokens beyond twice, and beyond four times, what a commit inserted


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What was replayed on what."""

    repo: str
    rev: str
    start: str
    model: str
    build: str
    n_ctx: int
    n_swa: int
    threads: int
    counted_only: bool = False  # nothing was computed: tokens are true, times mean nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A median with its 95th percentile."""

    median: float
    p95: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CostSum:
    """One arm over all steps. `saved`: share of the prompt that was not evaluated before the answer, in the median."""

    arm: str
    steps: int
    prompt: Spread
    tail: Spread
    errata: Spread
    body: Spread
    beyond: Spread
    idle: int
    saved: float
    first_token_ms: Spread
    over_median: float  # median of beyond - 2 x changed
    over_p95: float  # 95th percentile of beyond - 4 x changed
    early: int = 0  # answers from the file alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything a run found. Empty parts were not asked for."""

    about: About
    starts: tuple[Start, ...] = ()
    costs: tuple[CostRow, ...] = ()
    fidelity: tuple[FidelityRow, ...] = ()
    facts: tuple[FactsRow, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms whose cost was measured."""
        return tuple(dict.fromkeys(row.arm for row in self.costs))

    def sums(self) -> tuple[CostSum, ...]:
        """Medians and 95th percentiles by arm."""
        return tuple(_sum([row for row in self.costs if row.arm == arm]) for arm in self.arms)

    def fidelity_sum(self) -> Fidelity | None:
        """The replay's questions together."""
        return summed_up(self.fidelity)

    def to_json(self) -> dict[str, Any]:
        """The documented shape of `--json`: the sums first, then every row they come from."""
        total = self.fidelity_sum()
        return {
            "about": asdict(self.about),
            "verdict": list(verdict(self)),
            "cost": [asdict(s) for s in self.sums()],
            "fidelity": asdict(total) if total else None,
            "facts": [
                {
                    "edits": r.edits,
                    "errata": r.errata,
                    "prompt": r.prompt,
                    **asdict(r.fidelity),
                    "spent": {label: {**asdict(s), "evaluated": s.evaluated} for label, s in r.spent.items()},
                }
                for r in self.facts
            ],
            "starts": [asdict(s) for s in self.starts],
            "left_out": list(self.left_out),
            "rows": {
                "cost": [{**asdict(r), "evaluated": r.evaluated, "beyond": r.beyond} for r in self.costs],
                "fidelity": [_plain(r) for r in self.fidelity],
                "facts": [{"edits": r.edits, "answers": [_plain(a) for a in r.answers]} for r in self.facts],
            },
        }


def verdict(report: Report) -> tuple[str, ...]:
    """What the numbers say, in whole sentences."""
    total = report.fidelity_sum()
    return (
        *_on_cost(report),
        *(_on_fidelity("The replayed commits", total) if total else ()),
        *(s for r in report.facts for s in _on_fidelity(f"After {r.edits} inserted facts", r.fidelity, r)),
    )


def spread(values: Sequence[float]) -> Spread:
    """Median and 95th percentile (the smallest value that 95 % do not exceed)."""
    ordered = sorted(values)
    return Spread(median=float(median(ordered)), p95=float(ordered[-(-95 * len(ordered) // 100) - 1]))


def _sum(rows: Sequence[CostRow]) -> CostSum:
    return CostSum(
        arm=rows[0].arm,
        steps=len(rows),
        prompt=spread([r.prompt for r in rows]),
        tail=spread([r.tail for r in rows]),
        errata=spread([r.errata for r in rows]),
        body=spread([r.body for r in rows]),
        beyond=spread([r.beyond for r in rows]),
        idle=sum(r.idle for r in rows),
        saved=median(1 - r.evaluated / r.prompt for r in rows),
        first_token_ms=spread([r.first_token_ms for r in rows]),
        over_median=spread([r.beyond - 2 * r.changed for r in rows]).median,
        over_p95=spread([r.beyond - 4 * r.changed for r in rows]).p95,
        early=sum(r.early for r in rows),
    )


def _on_cost(report: Report) -> tuple[str, ...]:
    sums = {s.arm: s for s in report.sums()}
    ours, theirs = sums.get(Arm.ERRATA), sums.get(Arm.RECOMPUTE)
    found = []
    if ours:
        found.append(
            f"After a commit an answer waited for {ours.beyond.median:,.0f} tokens beyond its own tail in the median, "
            f"{ours.beyond.p95:,.0f} at p95; less 2 x changed that is {ours.over_median:,.0f} in the median "
            f"(goal: {MEDIAN_OVER} at most, {_met(ours.over_median <= MEDIAN_OVER)}), less 4 x changed "
            f"{ours.over_p95:,.0f} at p95 (goal: {P95_OVER} at most, {_met(ours.over_p95 <= P95_OVER)})."
        )
        found.append(f"{ours.idle:,} tokens more were evaluated while nobody waited, over {ours.steps} steps.")
    early = sums.get(Arm.EARLY)
    if early:
        found.append(
            f"As the server does it, {early.early} of {early.steps} answers came from the file alone, because more "
            f"would have kept the user waiting; beyond the tail they waited for {early.beyond.median:,.0f} tokens in "
            f"the median and {early.beyond.p95:,.0f} at p95 (less 2 x changed {early.over_median:,.0f}, less "
            f"4 x changed {early.over_p95:,.0f})."
        )
    if ours and theirs:
        waited = f"Recomputing waited for {theirs.beyond.median:,.0f} and {theirs.beyond.p95:,.0f}"
        times = f"{theirs.first_token_ms.median:,.0f} ms in the median against {ours.first_token_ms.median:,.0f} ms"
        found.append(f"{waited}." if report.about.counted_only else f"{waited}; to the first token it took {times}.")
    if ours:
        found += [_beside(ours, sums[name]) for name in (THEIRS, THEIRS_BEST) if name in sums]
    by_path = sums.get(Arm.PATH_ORDER)
    if by_path and theirs:
        found.append(
            f"Recomputing with the files in the order of their paths waited for {by_path.beyond.median:,.0f} in the "
            f"median, and for {_all_of(report, Arm.PATH_ORDER):,} over all steps against "
            f"{_all_of(report, Arm.RECOMPUTE):,}."
        )
    return tuple(found)


def _beside(ours: CostSum, theirs: CostSum) -> str:
    """Tails are in both, because theirs is cut where it pleases the server; medians of each side."""
    mine, other = (s.beyond.median + s.tail.median for s in (ours, theirs))
    return (
        f"{theirs.arm} evaluated {other:,.0f} tokens before its answer in the median, {other / max(1.0, mine):.1f} "
        f"times ours; to the first token {theirs.first_token_ms.median:,.0f} ms, "
        f"{theirs.first_token_ms.median / max(0.001, ours.first_token_ms.median):.1f} times ours."
    )


def _all_of(report: Report, arm: Arm) -> int:
    return sum(row.beyond for row in report.costs if row.arm == arm)


def _on_fidelity(what: str, total: Fidelity, row: FactsRow | None = None) -> tuple[str, ...]:
    ours = [a for a in total.arms if a.arm not in (Arm.RECOMPUTE, Arm.STALE)]
    found = [_on_arm(what, total, arm, row) for arm in ours]
    if row is not None and found:
        known = ", ".join(f"{a.recalled} {a.arm}" for a in total.arms)
        nll = ", ".join(f"{a.nll:.2f} {a.arm}" for a in total.arms)
        found.append(f"{what}: recalled of {total.questions}: {known}; nll {nll}.")
    return tuple(found)


def _on_arm(what: str, total: Fidelity, arm: ArmFidelity, row: FactsRow | None) -> str:
    other, limit = arm.kl_other or 0.0, NOISE * total.floor
    does = "errata close" if arm.arm == Arm.ERRATA else f"the arm {arm.arm} closes"
    closed = (
        f"{does} {arm.closed:.1%} of the gap where the answer depends on the edits "
        f"({total.depending} of {total.positions} positions; the goal of {CLOSED:.0%} is {_met(arm.closed >= CLOSED)})"
        if arm.closed is not None
        else f"no position of {total.positions} depends on the edits"
    )
    spent = row.spent.get(arm.arm) if row is not None else None
    cost = f"; {spent.evaluated:,} tokens evaluated" if spent else ""
    if spent and spent.splices:
        cost += f" ({spent.inserted:,} in {spent.splices} splices, {spent.warmed:,} to warm windows"
        cost += f", {spent.ms / spent.splices:,.0f} ms each)"
    return (
        f"{what}: {closed}; elsewhere KL is {other:.4f} "
        f"(goal: {NOISE:.0f} x the noise, {limit:.4f}, at most, {_met(other <= limit)}){cost}."
    )


def _met(ok: bool) -> str:
    return "met" if ok else "not met"


def _plain(row: FidelityRow) -> dict[str, Any]:
    return {
        "label": row.label,
        "n_tokens": row.n_tokens,
        "floor": [round(x, 6) for x in row.floor],
        "arms": {
            str(arm): {"nll": round(s.nll, 4), "recalled": s.recalled, "kl": [round(x, 6) for x in s.kl]}
            for arm, s in row.arms.items()
        },
    }
