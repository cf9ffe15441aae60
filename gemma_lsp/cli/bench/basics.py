"""`gemma-lsp bench basics`: measures speed beside llama.cpp's own, and how the server behaves meanwhile."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gemma_lsp.base.programs import own_module
from gemma_lsp.cli.bench.common import JsonReport, ModelFile

if TYPE_CHECKING:
    from rich.console import Console

    from gemma_lsp.bench.basics.run import BasicsOptions
    from gemma_lsp.bench.basics.types import Basics, Goal, Pace

_IDLE_S = 2.0  # an engine of the bench goes as soon as nobody uses it
_DASH = "-"


def basics_command(
    against: Annotated[
        Path | None, typer.Option(metavar="DIR", exists=True, help="The folder of llama.cpp's llama-bench.")
    ] = None,
    model: ModelFile = "",
    n_ctx: Annotated[int, typer.Option("--n-ctx", min=4096, help="Tokens of context.")] = 16384,
    runs: Annotated[int, typer.Option(min=1, help="How often each thing is measured.")] = 5,
    json_to: JsonReport = None,
) -> None:
    """Measure speed side by side with llama.cpp's llama-bench, and what the server does meanwhile; takes minutes."""
    from gemma_lsp.bench.basics.run import run_basics
    from gemma_lsp.cli import console

    options = options_for(against, model, n_ctx, runs)
    with console.stderr().status("starting") as status:
        found = run_basics(options, lambda text: status.update(text))
    if json_to is not None:
        write_json(found, json_to)
    print_basics(console.stdout(), found)


def options_for(against: Path | None, model: str, n_ctx: int, runs: int) -> BasicsOptions:
    """The engine that the settings ask for, without snapshots, so that nothing is known from before."""

    from gemma_lsp.bench.basics.run import BasicsOptions
    from gemma_lsp.cli.engines import IDLE_ENVIRONMENT, engine_spec, find, settings_for

    settings = settings_for(Path.cwd())
    path = find(settings, model).path
    spec = replace(engine_spec(settings, path), n_ctx=n_ctx, snapshot_mb=0, idle_exit_s=_IDLE_S)
    serve = tuple(own_module("gemma_lsp", "serve", "--model", str(path)))
    return BasicsOptions(spec=spec, serve=serve, env={IDLE_ENVIRONMENT: str(_IDLE_S)}, against=against, runs=runs)


def write_json(found: Basics, path: Path) -> None:
    """Writes the documented shape. Raises `ConfigError`."""
    import json

    from gemma_lsp.base.errors import ConfigError

    try:
        path.write_text(json.dumps(found.to_json(), indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"the report cannot be written to {path}: {error.strerror}; choose another --json") from error


def print_basics(out: Console, found: Basics) -> None:
    """Speeds side by side, then every goal with what was measured."""
    from rich.markup import escape

    from gemma_lsp.bench.basics.types import AGAINST_HINT
    from gemma_lsp.cli import console

    about = found.about
    settings = about["settings"]
    text = (
        f"{about['model']['name']}, {settings['n_ctx']:,} tokens of context, {settings['threads']} threads; "
        f"load {about['machine']['load_average_before'][0]} before, {about['machine']['load_average_after'][0]} after"
    )
    out.print(escape(text), soft_wrap=True)
    heads = ("tokens/s", "ours", "low..high", "engine's clock", "llama-bench", "low..high", "ratio")
    paces = {"prefill": found.prefill, "decode": found.decode, "decode, guessing": found.decode_guessing}
    rows = [_speed(name, pace) for name, pace in paces.items()]
    console.print_table(out, heads, rows, right=heads[1:])
    if found.prefill.ratio is None:
        out.print(escape(AGAINST_HINT), soft_wrap=True)
    out.print()
    goals = [_goal(goal) for goal in found.goals()]
    console.print_table(out, ("goal", "wanted", "measured", ""), goals, right=("wanted", "measured"))
    indexing = found.indexing
    out.print(
        f"\nindex {indexing.helped_mb_per_s.median:.1f} MB/s with other processes; "
        f"tokenising {indexing.tokens_mb_per_s:.1f} MB/s, {indexing.tokens_share:.0%} of the time of both; "
        f"{indexing.growth_mb:,.0f} MB more memory on {indexing.growth_bytes / 1e6:,.1f} MB of source; "
        f"an idle engine answers a tiny request in {found.cancel.tiny_ms.median:.0f} ms",
        soft_wrap=True,
    )


def _speed(name: str, pace: Pace) -> tuple[str, ...]:
    theirs = pace.theirs
    return (
        name,
        f"{pace.ours.median:,.1f}",
        f"{pace.ours.low:,.1f}..{pace.ours.high:,.1f}",
        f"{pace.engine.median:,.1f}",
        f"{theirs.median:,.1f}" if theirs else _DASH,
        f"{theirs.low:,.1f}..{theirs.high:,.1f}" if theirs else _DASH,
        f"{pace.ratio:.3f}" if pace.ratio is not None else _DASH,
    )


def _goal(goal: Goal) -> tuple[str, ...]:
    wanted = f"{'at least' if goal.at_least else 'under'} {goal.limit:g}"
    if goal.measured is None:
        return (goal.name, wanted, _DASH, "not measured")
    return (goal.name, wanted, f"{goal.measured:,.2f}", "met" if goal.met else "missed")
