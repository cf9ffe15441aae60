"""The commands. Each one imports what it needs when it runs: `serve` must answer an editor at once.

Only this package draws on a terminal (typer, rich), and only it and `app` know the backends.
"""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gemma_lsp import __version__
from gemma_lsp.cli.bench import app as bench_app
from gemma_lsp.cli.cache import app as cache_app

app = typer.Typer(
    name="gemma-lsp",
    help="A language server for Python that keeps a whole repository resident in a local model's KV cache.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.add_typer(bench_app, name="bench")
app.add_typer(cache_app, name="cache")

_MODEL_HELP = "A GGUF file, instead of the setting model.path."
Model = Annotated[str, typer.Option("--model", metavar="FILE", show_default=False, help=_MODEL_HELP)]
Folder = Annotated[Path, typer.Argument(metavar="DIR", exists=True, file_okay=False, resolve_path=True)]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]


class LogLevel(StrEnum):
    """What the server logs."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"
    DEBUG = "debug"


def main() -> None:
    """The entry point of the `gemma-lsp` script."""
    from gemma_lsp.base.errors import GemmaLspError

    try:
        app(prog_name="gemma-lsp")
    except GemmaLspError as error:
        typer.echo(f"gemma-lsp: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


@app.command("engine", hidden=True)
def engine_command(spec: Annotated[str, typer.Option(help="An EngineSpec as JSON.")]) -> None:
    """The process that owns the model; the server starts it."""
    from gemma_lsp.cli.engine import run_engine
    from gemma_lsp.engine.spec import EngineSpec

    run_engine(EngineSpec.from_json(spec))


@app.callback(invoke_without_command=True)
def _common(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(f"gemma-lsp {__version__}")
        raise typer.Exit


@app.command("index")
def index_command(
    folder: Folder = Path(),
    as_json: Json = False,
    budget: Annotated[int, typer.Option(min=0, help="Tokens for the files; 0: as the settings say.")] = 0,
    model: Model = "",
    estimate: Annotated[bool, typer.Option("--estimate", help="Guess the tokens; do not load a model.")] = False,
) -> None:
    """Show what of a repository is in the prompt, in which form and order, at how many tokens, and why."""
    from gemma_lsp.cli.index import IndexOptions, run_index

    options = IndexOptions(root=folder, budget=budget, model=model, estimate=estimate)
    run_index(options, as_json=as_json)


@app.command("doctor")
def doctor_command(
    model: Model = "",
    as_json: Json = False,
    cache: Annotated[bool, typer.Option("--cache", help="Compare cached answers with cold ones, instead.")] = False,
) -> None:
    """Check the model, llama.cpp, the GPU, memory, folders and settings; exit code 1 if something is to be done."""
    from gemma_lsp.cli.doctor import run_doctor
    from gemma_lsp.cli.doctor_cache import run_cache_check

    if cache:
        raise typer.Exit(run_cache_check(model, as_json=as_json))
    raise typer.Exit(run_doctor(model, as_json=as_json))


@app.command("models")
def models_command(as_json: Json = False) -> None:
    """List the models on this machine, what they look like and what context fits."""
    from gemma_lsp.cli.engines import settings_for
    from gemma_lsp.cli.models import run_models

    run_models(settings_for(Path.cwd()), as_json=as_json)


@app.command("stats")
def stats_command(as_json: Json = False) -> None:
    """Show what became of the suggestions on this machine: a local file that you can read and delete."""
    from gemma_lsp.cli.stats import run_stats

    run_stats(as_json=as_json)


@app.command("ask")
def ask_command(
    question: Annotated[str, typer.Argument(help="A question about the repository.")],
    folder: Annotated[Path, typer.Option("--dir", exists=True, file_okay=False, resolve_path=True)] = Path(),
    model: Model = "",
) -> None:
    """Ask a question about a repository; the answer streams to stdout."""
    from gemma_lsp.cli.ask import AskOptions, run_ask

    raise typer.Exit(run_ask(AskOptions(question=question, root=folder, model=model)))


@app.command("serve")
def serve_command(
    model: Model = "",
    log_file: Annotated[Path | None, typer.Option(metavar="FILE", help="Log there instead of to stderr.")] = None,
    log_level: Annotated[LogLevel, typer.Option(help="What is logged; debug includes source text.")] = LogLevel.INFO,
) -> None:
    """Run the language server over stdin and stdout; editors start this."""
    from gemma_lsp.cli.serve import run_serve

    run_serve(model=model, log_file=log_file, log_level=log_level)


@app.command("demo")
def demo_command(
    model: Model = "",
    fast: Annotated[bool, typer.Option("--fast", help="A short explanation, and no diagnostics.")] = False,
) -> None:
    """Show the server at work on a sample repository; exit code 1 if a step failed."""
    from gemma_lsp.cli.demo import DemoOptions, run_demo

    raise typer.Exit(run_demo(DemoOptions(model=model, fast=fast)))
