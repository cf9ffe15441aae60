"""`gemma-lsp bench replay --trace`: plays recorded keystrokes and says what the answers waited for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from gemma_lsp.bench.replay.run import BenchOptions
    from gemma_lsp.bench.replay.traces import TraceReport
    from gemma_lsp.bench.session import Load


def replay_trace(options: BenchOptions, trace: Path, keys: int, load: Load, json_to: Path | None) -> None:
    """Plays, prints, and writes the JSON. Raises `GemmaLspError`."""
    from gemma_lsp.bench.replay.run import run_trace
    from gemma_lsp.bench.replay.traces import read_trace
    from gemma_lsp.cli import console
    from gemma_lsp.cli.bench.common import write_json

    played = read_trace(trace)
    with console.stderr().status("starting") as status:
        report = run_trace(options, played, keys, load, lambda text: status.update(text))
    if json_to is not None:
        write_json(report.to_json(), json_to)
    print_trace(console.stdout(), report)


def print_trace(out: Console, report: TraceReport) -> None:
    """Sums by kind of transaction, then the goals."""
    from rich.markup import escape

    from gemma_lsp.bench.replay.traces import BEYOND, REUSED
    from gemma_lsp.cli import console

    about = report.about
    out.print(escape(f"{about['repo']}: {about['model']}, {about['n_ctx']:,} tokens of context"), soft_wrap=True)
    heads = ("kind", "n", "prompt", "evaluated", "beyond the typed", "reused", "laid out", "idle")
    rows = [
        (
            s.kind,
            f"{s.n:,}",
            f"{s.prompt.median:,.0f}",
            f"{s.evaluated.median:,.0f} / {s.evaluated.p95:,.0f}",
            f"{s.beyond.median:,.0f} / {s.beyond.p95:,.0f}",
            f"{s.reused.median:.2%} / {s.reused.p95:.2%}",
            s.laid_out,
            f"{s.idle:,}",
        )
        for s in report.sums()
    ]
    console.print_table(out, heads, rows, right=heads[1:])
    typed = report.sums()[0]
    out.print(
        f"{typed.beyond.median:,.0f} tokens beyond the typed ones in the median (goal: {BEYOND:.0f} at most); "
        f"{typed.reused.median:.2%} of the prompt reused (goal: {REUSED:.1%} at least).",
        soft_wrap=True,
    )
