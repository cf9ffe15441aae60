"""`gemma-lsp bench review`: how often are the model's findings right, and at which confidence?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gemma_lsp.cli.bench.common import JsonKept, ModelFile, Sample, Seed, Together
from gemma_lsp.cli.bench.explain import many_for

if TYPE_CHECKING:
    from rich.console import Console

    from gemma_lsp.bench.bugs.review_types import ReviewReport


def review_command(
    tasks: Annotated[
        Path | None, typer.Option(metavar="FILE", exists=True, dir_okay=False, help="Buggy functions, JSON lines.")
    ] = None,
    sample: Sample = 0,
    seed: Seed = 0,
    stdlib: Annotated[bool, typer.Option("--stdlib", help="Also ten modules of Python's standard library.")] = False,
    modules: Annotated[str, typer.Option(metavar="NAMES", help="Other modules than those ten, with commas.")] = "",
    claims: Annotated[bool, typer.Option(help="What the model says, in both passes.")] = True,
    doubts: Annotated[bool, typer.Option(help="Also what the tokens' probabilities alone say.")] = True,
    model: ModelFile = "",
    n_ctx: Annotated[int, typer.Option("--n-ctx", min=2048, help="Tokens of context.")] = 4096,
    together: Together = 8,
    json_to: JsonKept = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="From now on decide by this whether findings are shown.")
    ] = False,
) -> None:
    """Measure the model's findings on wrong functions and their right twins; takes about half a minute a function."""
    from gemma_lsp.bench.bugs.review import STDLIB, ReviewOptions, run_review
    from gemma_lsp.cli import console
    from gemma_lsp.cli.bench.common import loader_for
    from gemma_lsp.cli.engines import find, settings_for

    named = tuple(name.strip() for name in modules.split(",") if name.strip())
    if tasks is None and not stdlib and not named:
        raise typer.BadParameter("give --tasks, --stdlib or both", param_hint="--tasks")
    options = ReviewOptions(
        tasks=tasks,
        n=sample,
        seed=seed,
        modules=named or (STDLIB if stdlib else ()),
        claims=claims,
        doubts=doubts,
        n_ctx=n_ctx,
        together=together,
        json_to=json_to,
        settings=settings_for(Path.cwd()),
    )
    with console.stderr().status("starting") as status:
        load, connect = loader_for(model, Path.cwd()), many_for(model, together)
        report = run_review(options, connect, load, lambda text: status.update(text))
    print_review(console.stdout(), report)
    if keep:
        keep_verdict(report, find(options.settings, model).path)


def keep_verdict(report: ReviewReport, model: Path) -> None:
    """Writes down whether this model's findings are to be shown from now on. Raises `ConfigError`."""
    from gemma_lsp.base.errors import ConfigError
    from gemma_lsp.bench.bugs.review_types import verdict_of
    from gemma_lsp.cli import console
    from gemma_lsp.models.trust import record

    measured = verdict_of(report)
    if measured is None:
        raise ConfigError("twins and modules must both be measured before a verdict is kept; give --tasks and --stdlib")
    try:
        path = record(model, measured)
    except OSError as error:
        raise ConfigError(f"the verdict cannot be written down: {error.strerror}; make the folder writable") from error
    console.stdout().print(f"kept in {path}: from now on diagnostics.enabled = auto means this", soft_wrap=True)


def print_review(out: Console, report: ReviewReport) -> None:
    """The curve, the threshold that it gives, and the evidence."""
    from gemma_lsp.bench.bugs.explain_types import told_share
    from gemma_lsp.cli import console

    sums = report.sums()
    out.print(
        f"{report.about.get('model', '')}: {sums['functions']} functions, {sums['claims']} claims", soft_wrap=True
    )
    heads = ("confidence", "precision", "recall", "in modules")
    for what in ("confirmed", "unconfirmed"):
        out.print(f"\n{what} findings, by the least confidence")
        console.print_table(out, heads, [_point(point) for point in sums[what]], right=heads)
    if not report.rows:
        out.print("\nno claims were measured")
    elif sums["threshold"] is None:
        out.print("\nno confidence reaches precision 0.5 at recall 0.10: diagnostics stay off for this model")
    else:
        out.print(f"\nthe least confidence that reaches precision 0.5 at recall 0.10 is {sums['threshold']}")
    doubt = sums["doubt"]
    if doubt:
        out.print(f"the most surprising line is the wrong one: {told_share(doubt['top_line'])}", soft_wrap=True)
        out.print(f"by chance {doubt['by_chance']:.1%}")
        console.print_table(out, ("gap", *heads[1:]), [_point(point) for point in doubt["curve"]], right=heads)


def _point(point: dict[str, Any]) -> tuple[str, ...]:
    from gemma_lsp.bench.bugs.explain_types import told_share

    modules = f"{point['stdlib']} in {point['stdlib_lines']:,} lines" if point["stdlib_lines"] else "-"
    return (f"{point['threshold']:g}", told_share(point["precision"]), told_share(point["recall"]), modules)
