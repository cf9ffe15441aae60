"""`gemma-lsp bench`: how good, how fast and how true it is on a user's own machine, model and repository."""

from __future__ import annotations

import typer

from gemma_lsp.cli.bench.basics import basics_command
from gemma_lsp.cli.bench.complete import complete_command
from gemma_lsp.cli.bench.edits import edits_command
from gemma_lsp.cli.bench.explain import explain_command
from gemma_lsp.cli.bench.replay import replay_command
from gemma_lsp.cli.bench.review import review_command
from gemma_lsp.cli.bench.speculate import speculate_command, typing_command

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _bench() -> None:
    """Measure speed, cost, truth and quality with your own model, on your own machine."""


app.command("basics")(basics_command)
app.command("explain")(explain_command)
app.command("review")(review_command)
app.command("complete")(complete_command)
app.command("edits")(edits_command)
app.command("speculate")(speculate_command)
app.command("typing")(typing_command)
app.command("replay")(replay_command)
