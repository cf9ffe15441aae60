"""`gemma-lsp bench speculate` and `gemma-lsp bench typing`: how fast tokens come, and how fast the first one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gemma_lsp.cli.bench.common import JsonReport, ModelFile

if TYPE_CHECKING:
    from rich.console import Console

    from gemma_lsp.bench.pace.speculate import Speculated
    from gemma_lsp.bench.pace.typing import Typed


def speculate_command(
    repo: Annotated[Path, typer.Option(metavar="DIR", exists=True, file_okay=False, help="A git repository.")] = Path(),
    model: ModelFile = "",
    tasks: Annotated[int, typer.Option(min=1, help="Answers of each group.")] = 24,
    turns: Annotated[int, typer.Option(min=1, help="How often each answer is given both ways.")] = 2,
    n_ctx: Annotated[int, typer.Option("--n-ctx", min=2048, help="Tokens of context.")] = 8192,
    json_to: JsonReport = None,
) -> None:
    """Guess tokens from the resident repository: how much faster is code that repeats it, and how much slower other?"""
    from gemma_lsp.bench.pace.speculate import SpeculateOptions, run_speculate
    from gemma_lsp.cli import console
    from gemma_lsp.cli.bench.common import loader_for, write_json

    options = SpeculateOptions(repo=repo, tasks=tasks, turns=turns, n_ctx=n_ctx)
    with console.stderr().status("starting") as status:
        found = run_speculate(options, loader_for(model, repo), lambda text: status.update(text))
    if json_to is not None:
        write_json(found.to_json(), json_to)
    print_speculated(console.stdout(), found)


def print_speculated(out: Console, found: Speculated) -> None:
    """The groups, each with its goal."""
    from rich.markup import escape

    from gemma_lsp.bench.pace.speculate import GOALS
    from gemma_lsp.cli import console

    about = found.about
    text = (
        f"{about['repo']}: {about['model']}, {about['threads']} threads, {about['resident_tokens']:,} tokens resident"
    )
    out.print(escape(text), soft_wrap=True)
    heads = ("answers that are", "answers", "times as fast", "95 %", "goal", "guessed", "right", "same text")
    rows = [
        (
            s.group,
            s.answers,
            f"{s.ratio:.2f}",
            f"{s.low:.2f}..{s.high:.2f}",
            f"{GOALS[s.group]:g} {'met' if s.met else 'missed'}" if s.group in GOALS else "-",
            s.guessed,
            f"{s.right / s.guessed:.0%}" if s.guessed else "-",
            f"{s.same_text} of {s.answers}",
        )
        for s in found.sums()
    ]
    console.print_table(out, heads, rows, right=heads[1:])


def typing_command(
    repo: Annotated[Path, typer.Option(metavar="DIR", exists=True, file_okay=False, help="A git repository.")] = Path(),
    model: ModelFile = "",
    keys: Annotated[int, typer.Option(min=2, help="Keys that ask the model.")] = 60,
    n_ctx: Annotated[int, typer.Option("--n-ctx", min=2048, help="Tokens of context.")] = 11_264,
    json_to: JsonReport = None,
) -> None:
    """Type a function again: how long from a key to the first token, and to what is left of a suggestion?"""
    from gemma_lsp.bench.pace.typing import TypingOptions, run_typing
    from gemma_lsp.cli import console
    from gemma_lsp.cli.bench.common import loader_for, write_json

    options = TypingOptions(repo=repo, keys=keys, n_ctx=n_ctx)
    with console.stderr().status("starting") as status:
        found = run_typing(options, loader_for(model, repo), lambda text: status.update(text))
    if json_to is not None:
        write_json(found.to_json(), json_to)
    print_typed(console.stdout(), found)


def print_typed(out: Console, found: Typed) -> None:
    """Both goals."""
    from rich.markup import escape

    from gemma_lsp.bench.pace.typing import ALONG_LIMIT_MS, STEPS_LIMIT

    about = found.about
    text = (
        f"{about['repo']}: {about['model']}, {about['threads']} threads, {about['resident_tokens']:,} tokens resident"
    )
    out.print(escape(text), soft_wrap=True)
    met = "met" if found.steps <= STEPS_LIMIT else "missed"
    told = found.to_json()
    first, along = told["first_token_ms"], told["typed_along_ms"]
    out.print(
        f"a key to the first token: {first['median']:.0f} ms, {found.steps:.1f} decode steps of {found.step_ms:.0f} ms "
        f"(at most {STEPS_LIMIT:g}: {met}); p95 {first['p95']:.0f} ms; {told['evaluated_tokens']['median']:g} tokens "
        "evaluated in the median",
        soft_wrap=True,
    )
    met = "met" if along["p99"] <= ALONG_LIMIT_MS else "missed"
    out.print(
        f"typed along: {along['median']:.2f} ms, p99 {along['p99']:.2f} ms (under {ALONG_LIMIT_MS:g}: {met})",
        soft_wrap=True,
    )
