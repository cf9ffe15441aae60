"""`gemma-lsp bench edits`: what one edit costs by place and prompt length, beside llama-server; and a restart."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gemma_lsp.cli.bench.common import JsonReport, ModelFile, Picture

if TYPE_CHECKING:
    from rich.console import Console

    from gemma_lsp.bench.edits.types import Edits


def edits_command(
    repo: Annotated[Path, typer.Option(metavar="DIR", exists=True, file_okay=False, help="A git repository.")] = Path(),
    sizes: Annotated[str, typer.Option(help="Tokens of context, with commas.")] = "2048,4096,8192,16384",
    runs: Annotated[int, typer.Option(min=1, help="How often each edit is made.")] = 2,
    model: ModelFile = "",
    against: Annotated[
        Path | None, typer.Option(metavar="PATH", exists=True, help="llama.cpp's llama-server, or its folder.")
    ] = None,
    json_to: JsonReport = None,
    plot: Picture = None,
) -> None:
    """Edit a repository at 10, 50 and 90 % of the prompt: what does the next answer wait for, and after a restart?"""
    import tempfile

    from gemma_lsp.bench.edits.plot import write_plot
    from gemma_lsp.bench.edits.run import EditsOptions, run_edits
    from gemma_lsp.cli import console
    from gemma_lsp.cli.bench.common import loader_for, write_json
    from gemma_lsp.cli.engines import find, settings_for

    err = console.stderr()
    with tempfile.TemporaryDirectory(prefix="gemma-lsp-bench-") as folder, err.status("starting") as status:
        options = EditsOptions(
            repo=repo,
            sizes=sizes_of(sizes),
            runs=runs,
            snapshots=Path(folder),
            model=str(find(settings_for(repo), model).path),
            against=against,
        )
        found = run_edits(options, loader_for(model, repo), lambda text: status.update(text))
    if json_to is not None:
        write_json(found.to_json(), json_to)
    print_edits(console.stdout(), found)
    if plot is not None:
        write_plot(found, plot)


def sizes_of(text: str) -> tuple[int, ...]:
    """Contexts in tokens, ascending. Raises `typer.BadParameter`."""
    try:
        found = sorted({int(part) for part in text.replace("_", "").split(",") if part.strip()})
    except ValueError:
        found = []
    if not found or found[0] < 1024:
        raise typer.BadParameter("give numbers of at least 1024, with commas", param_hint="--sizes")
    return tuple(found)


def print_edits(out: Console, found: Edits) -> None:
    """The medians side by side, then the restarts."""
    from rich.markup import escape

    from gemma_lsp.bench.edits.types import RESTART
    from gemma_lsp.cli import console

    about = found.about
    out.print(escape(f"{about['repo']}: {about['model']}, {about['threads']} threads"), soft_wrap=True)
    heads = ("context", "edit at", "side", "prompt", "evaluated", "beyond the tail", "ms", "x ours", "goal", "x our ms")
    rows = [
        (
            f"{s.n_ctx:,}",
            s.what,
            s.arm,
            f"{s.prompt:,.0f}",
            f"{s.evaluated:,.0f}",
            f"{s.beyond:,.0f}",
            f"{s.ms:,.0f}",
            "-" if s.evaluated_ratio is None else f"{s.evaluated_ratio:.1f}",
            "-" if s.goal is None else f"{s.goal:g} {'met' if s.met else 'missed'}",
            "-" if s.ms_ratio is None else f"{s.ms_ratio:.1f}",
        )
        for s in found.sums()
    ]
    console.print_table(out, heads, rows, right=("context", *heads[3:]))
    for line in about["left_out"]:
        out.print(escape(line), soft_wrap=True)
    for r in found.restarts:
        same = "the same answer" if r.same_answer else "ANOTHER ANSWER"
        out.print(
            f"restart at {r.n_ctx:,}: {r.restored:,} tokens from the disk, {r.evaluated:,} evaluated, {r.ms:,.0f} ms "
            f"of {r.cold_ms:,.0f} cold ({r.share:.1%}, goal {RESTART:.0%}), {same}",
            soft_wrap=True,
        )
