"""`gemma-lsp bench replay`: a repository's history through the core, what it cost and how true it stayed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gemma_lsp.cli.bench.common import JsonReport, ModelFile, Picture, loader_for, numbers, write_json
from gemma_lsp.cli.bench.traces import replay_trace

if TYPE_CHECKING:
    from rich.console import Console

    from gemma_lsp.bench.editing import Arm
    from gemma_lsp.bench.replay.fidelity import Fidelity
    from gemma_lsp.bench.replay.report import CostSum, Report, Spread

_DASH = "-"


def replay_command(
    repo: Annotated[Path, typer.Option(metavar="DIR", exists=True, file_okay=False, help="A git repository.")] = Path(),
    rev: Annotated[str, typer.Option(metavar="A..B", help="The commits; else the last ones.")] = "",
    steps: Annotated[int, typer.Option(min=0, help="Commits at most; 0: only --facts.")] = 20,
    model: ModelFile = "",
    n_ctx: Annotated[int, typer.Option("--n-ctx", min=1024, help="Tokens of context.")] = 8192,
    arms: Annotated[str, typer.Option(help="With commas; splice, both: of --facts.")] = "errata,recompute,stale",
    fidelity: Annotated[bool, typer.Option(help="Compare the probabilities with those of a recomputation.")] = True,
    count_only: Annotated[bool, typer.Option("--count-only", help="Tokens in seconds; no times, no fidelity.")] = False,
    fold: Annotated[
        bool, typer.Option("--fold", help="With the arm early: what was told goes into the body, as in the server.")
    ] = False,
    facts: Annotated[int, typer.Option(min=0, help="Insert so many facts, and ask for each of them.")] = 0,
    ask_after: Annotated[
        str, typer.Option("--ask-after", metavar="N,N", help="When all --facts so far are asked for.")
    ] = "1,10,30,100",
    rewarm: Annotated[
        str, typer.Option(metavar="N,N", help="Of the arms splice and both: tokens read again for a lost window.")
    ] = "64",
    behind: Annotated[str, typer.Option(metavar="N,N", help="Of the same: tokens behind a change read again.")] = "32",
    trace: Annotated[
        Path | None, typer.Option(metavar="FILE", exists=True, help="Play a recorded editing session instead.")
    ] = None,
    keys: Annotated[int, typer.Option(min=1, help="Transactions of the --trace at most.")] = 1000,
    against: Annotated[
        Path | None,
        typer.Option(metavar="LLAMA_SERVER", exists=True, help="The same moments on llama.cpp's; program or folder."),
    ] = None,
    json_to: JsonReport = None,
    plot: Picture = None,
) -> None:
    """Replay git history as editing: what does an answer after each commit wait for, and is it true?"""
    from gemma_lsp.bench.replay.plot import write_plot
    from gemma_lsp.bench.replay.run import BenchOptions, run_bench
    from gemma_lsp.cli import console
    from gemma_lsp.cli.engines import find, settings_for

    options = BenchOptions(
        repo=repo,
        rev=rev,
        steps=steps,
        n_ctx=n_ctx,
        arms=arms_of(arms),
        fidelity=fidelity,
        counting=count_only,
        fold=fold,
        against=against,
        model=str(find(settings_for(repo), model).path) if against else "",
        facts=facts,
        milestones=numbers(ask_after, "--ask-after"),
        rewarms=numbers(rewarm, "--rewarm"),
        behinds=numbers(behind, "--behind"),
    )
    err = console.stderr()
    if trace is not None:
        replay_trace(options, trace, keys, loader_for(model, repo), json_to)
        return
    with err.status("starting") as status:
        report = run_bench(options, loader_for(model, repo), lambda text: status.update(text))
    if json_to is not None:
        write_json(report.to_json(), json_to)
    print_report(console.stdout(), report)
    if plot is not None:
        write_plot(report, plot)


def arms_of(names: str) -> tuple[Arm, ...]:
    """The arms that were named. Raises `typer.BadParameter`."""
    from gemma_lsp.bench.editing import Arm

    try:
        return tuple(dict.fromkeys(Arm(name.strip()) for name in names.split(",") if name.strip()))
    except ValueError:
        raise typer.BadParameter(f"choose from {', '.join(Arm)}", param_hint="--arms") from None


def print_report(out: Console, report: Report) -> None:
    """The sums as tables, then the verdict."""
    from rich.markup import escape

    from gemma_lsp.bench.replay.report import verdict

    about = report.about
    text = f"{about.repo} {about.rev}: {about.model}, {about.n_ctx:,} tokens of context, {about.threads} threads"
    out.print(escape(text), soft_wrap=True)
    if report.costs:
        _print_costs(out, report.sums(), timed=not about.counted_only)
    total = report.fidelity_sum()
    groups = [*([("commits", total)] if total else []), *((f"{r.edits} facts", r.fidelity) for r in report.facts)]
    if groups:
        _print_fidelity(out, groups)
    for line in (*report.left_out, *verdict(report)):
        out.print(escape(line), soft_wrap=True)


def _print_costs(out: Console, sums: tuple[CostSum, ...], *, timed: bool) -> None:
    from gemma_lsp.cli import console

    out.print("\nTokens an answer waited for, median / p95")
    heads = ("arm", "steps", "prompt", "tail", "errata", "body", "beyond the tail", "not evaluated", "idle", "ms")
    rows = [
        (
            s.arm,
            s.steps,
            _spread(s.prompt),
            _spread(s.tail),
            _spread(s.errata),
            _spread(s.body),
            _spread(s.beyond),
            f"{s.saved:.1%}",
            s.idle,
            _spread(s.first_token_ms) if timed else _DASH,
        )
        for s in sums
    ]
    console.print_table(out, heads, rows, right=heads[1:])


def _print_fidelity(out: Console, groups: list[tuple[str, Fidelity]]) -> None:
    from gemma_lsp.cli import console

    out.print("\nKL to the exact recomputation, in nats")
    heads = ("after", "arm", "gap closed", "depending", "elsewhere", "noise", "nll", "recalled", "questions")
    rows = [
        (
            after if a is total.arms[0] else "",
            a.arm,
            f"{a.closed:.1%}" if a.closed is not None else _DASH,
            f"{a.kl_depending:.4f}" if a.kl_depending is not None else _DASH,
            f"{a.kl_other:.4f}" if a.kl_other is not None else _DASH,
            f"{total.floor:.4f}",
            f"{a.nll:.2f}",
            a.recalled,
            total.questions,
        )
        for after, total in groups
        for a in total.arms
    ]
    console.print_table(out, heads, rows, right=heads[2:])


def _spread(value: Spread) -> str:
    return f"{value.median:,.0f} / {value.p95:,.0f}"
