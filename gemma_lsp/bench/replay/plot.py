"""The report of a replay as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from gemma_lsp.bench.plotting import save
from gemma_lsp.bench.replay.fidelity import FidelityRow
from gemma_lsp.bench.replay.report import CLOSED, Report

_COLOURS = {
    "errata": "#1b7837",
    "recompute": "#762a83",
    "stale": "#999999",
    "splice": "#d95f02",
    "splice 0": "#fdae61",
    "splice 64": "#d95f02",
    "splice 256": "#7f2704",
    "both": "#2166ac",
}
_MARKS = "osv^Dx"


def write_plot(report: Report, path: Path) -> None:
    """Writes an SVG. Raises `GemmaLspError` where matplotlib is not installed or the file cannot be written."""
    panels = [
        partial(draw, report)
        for draw, wanted in ((_cost, report.costs), (_facts, report.facts), (_closed, report.facts))
        if wanted
    ]
    about = report.about
    save(panels, f"{about.repo} {about.rev}, {about.model}, {about.n_ctx:,} tokens of context", path)


def _cost(report: Report, axes: Any) -> None:
    """Tokens that the answer after each commit waited for."""
    for arm in report.arms:
        rows = [row for row in report.costs if row.arm == arm]
        axes.plot(range(1, len(rows) + 1), [r.evaluated for r in rows], "o-", ms=3, label=arm, color=_COLOURS.get(arm))
    first = [row for row in report.costs if row.arm == report.arms[0]]
    axes.plot(range(1, len(first) + 1), [r.changed for r in first], ":", color="black", label="inserted by the commit")
    axes.set(yscale="symlog", xlabel="commit", ylabel="tokens", title="evaluated before the answer")
    axes.legend(fontsize=8)


def _facts(report: Report, axes: Any) -> None:
    """KL to the exact recomputation after more and more edits, beside the noise."""
    edits = [row.edits for row in report.facts]
    labels = [str(a.arm) for a in report.facts[0].fidelity.arms if a.arm != "recompute"]
    for n, arm in enumerate(labels):
        means = [_mean_kl(row.answers, arm) for row in report.facts]
        axes.plot(edits, means, color=_COLOURS.get(arm), marker=_MARKS[n % len(_MARKS)], ms=4, label=arm)
    axes.plot(edits, [row.fidelity.floor for row in report.facts], ":", color="black", label="noise floor")
    axes.set(xscale="log", yscale="log", xlabel="edits", ylabel="nats", title="KL to exact, facts asked for")
    axes.set_xticks(edits, [str(n) for n in edits])
    axes.legend(fontsize=8)


def _closed(report: Report, axes: Any) -> None:
    """How much of the gap each arm closes, and where the goal is."""
    edits = [row.edits for row in report.facts]
    labels = [str(a.arm) for a in report.facts[0].fidelity.arms if a.arm not in ("recompute", "stale")]
    for n, arm in enumerate(labels):
        closed = [next(a.closed or 0.0 for a in row.fidelity.arms if a.arm == arm) for row in report.facts]
        axes.plot(edits, closed, color=_COLOURS.get(arm), marker=_MARKS[n % len(_MARKS)], ms=4, label=arm)
    axes.axhline(CLOSED, ls=":", color="black", label="goal")
    axes.set(xscale="log", xlabel="edits", ylabel="share", title="gap closed on depending positions")
    axes.set_xticks(edits, [str(n) for n in edits])
    axes.legend(fontsize=8)


def _mean_kl(answers: Sequence[FidelityRow], arm: str) -> float:
    values = [x for row in answers for x in row.arms[arm].kl]
    return max(1e-5, sum(values) / len(values))  # 0 has no place on a logarithmic axis
