"""`gemma-lsp bench complete`: how good completions are, beside those of the bare model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gemma_lsp.cli.bench.common import JsonKept, ModelFile, Sample, Seed

if TYPE_CHECKING:
    from rich.console import Console

    from gemma_lsp.bench.complete.history import Context
    from gemma_lsp.bench.complete.run import Completed
    from gemma_lsp.bench.complete.types import Comparison, Estimate, Sum

_DASH = "-"


def complete_command(
    tasks: Annotated[
        Path | None, typer.Option(metavar="FILE.jsonl[.gz]", exists=True, dir_okay=False, help="Infilling tasks.")
    ] = None,
    repo: Annotated[
        Path | None, typer.Option(metavar="DIR", exists=True, file_okay=False, help="A git history of next lines.")
    ] = None,
    rev: Annotated[str, typer.Option(metavar="A..B", help="The commits; else the last ones.")] = "",
    commits: Annotated[int, typer.Option(min=1, help="Commits at most.")] = 60,
    context: Annotated[str, typer.Option(help="With --repo: repo, bare, wide, file, with commas.")] = "repo,file",
    sample: Sample = 0,
    seed: Seed = 0,
    against: Annotated[
        Path | None,
        typer.Option(metavar="LLAMA_SERVER", exists=True, help="With --tasks: the program, or its folder."),
    ] = None,
    model: ModelFile = "",
    n_ctx: Annotated[int, typer.Option("--n-ctx", min=1024, help="Tokens of context.")] = 4096,
    json_to: JsonKept = None,
) -> None:
    """Measure completions: gaps filled by product and bare model and tested, or the next lines of a git history."""
    from gemma_lsp.bench.complete.run import CompleteOptions, NextOptions, run_infill, run_next
    from gemma_lsp.cli import console
    from gemma_lsp.cli.bench.common import loader_for
    from gemma_lsp.cli.engines import find, settings_for

    if (tasks is None) == (repo is None):
        raise typer.BadParameter("give either a JSONL file of tasks or a git repository", param_hint="--tasks, --repo")
    load = loader_for(model, repo or Path.cwd())
    with console.stderr().status("starting") as status:
        if tasks is not None:
            path = str(find(settings_for(Path.cwd()), model).path)
            infilling = CompleteOptions(
                tasks=tasks, model=path, against=against, sample=sample, seed=seed, n_ctx=n_ctx, json_to=json_to
            )
            found = run_infill(infilling, load, lambda text: status.update(text))
        elif repo is not None:
            nexts = NextOptions(
                repo=repo,
                rev=rev,
                commits=commits,
                sample=sample,
                seed=seed,
                n_ctx=n_ctx,
                contexts=contexts_of(context),
                json_to=json_to,
            )
            found = run_next(nexts, load, lambda text: status.update(text))
    print_completed(console.stdout(), found)


def contexts_of(names: str) -> tuple[Context, ...]:
    """The contexts that were named. Raises `typer.BadParameter`."""
    from gemma_lsp.bench.complete.history import Context

    try:
        return tuple(dict.fromkeys(Context(name.strip()) for name in names.split(",") if name.strip()))
    except ValueError:
        raise typer.BadParameter(f"choose from {', '.join(Context)}", param_hint="--context") from None


def print_completed(out: Console, found: Completed) -> None:
    """Each arm's sums, then the arms against each other; intervals are of 95 %."""
    from rich.markup import escape

    from gemma_lsp.bench.complete.types import summed_up
    from gemma_lsp.cli import console

    about = found.about
    out.print(escape(f"{about['model']}, {about['tasks']}, {about['n_ctx']:,} tokens of context"), soft_wrap=True)
    sums = summed_up(found.rows)
    heads = ("arm", "n", "pass@1", "exact", "similar", "nll/char", "shown", "twice", "breaks", "leaks", "tokens")
    times = ("first ms", "end ms")
    console.print_table(out, (*heads, *times), [_sum(s) for s in sums], right=(*heads[1:], *times))
    if found.comparisons:
        out.print()
        against = ("compared", "n", "difference", "ratio", "only the first", "only the second")
        console.print_table(out, against, [_compared(c) for c in found.comparisons], right=against[1:])
    for note in found.notes:
        out.print(escape(note), soft_wrap=True)


def _sum(s: Sum) -> tuple[object, ...]:
    return (
        s.arm,
        s.n,
        _estimate(s.passed, "{:.1%}"),
        _estimate(s.exact, "{:.1%}"),
        _estimate(s.similarity, "{:.3f}"),
        _estimate(s.nll, "{:.3f}"),
        f"{s.shown:.0%}",
        s.repeats,
        s.breaks,
        s.leaks,
        f"{s.generated:.1f}",
        _times(s.first_ms),
        _times(s.total_ms),
    )


def _compared(c: Comparison) -> tuple[object, ...]:
    name = f"{c.what}: {c.first} against {c.second}"
    return (name, c.n, _estimate(c.difference, "{:+.4f}"), _estimate(c.ratio, "{:.3f}"), c.only_first, c.only_second)


def _estimate(value: Estimate | None, form: str) -> str:
    if value is None:
        return _DASH
    return f"{form.format(value.value)} ({form.format(value.low)}..{form.format(value.high)})"


def _times(value: tuple[float, float] | None) -> str:
    return f"{value[0]:,.0f} / {value[1]:,.0f}" if value else _DASH
