"""`gemma-lsp ask`: makes a repository resident and streams an answer about it. The answer goes to stdout, all else to
stderr.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from gemma_lsp.app import App
from gemma_lsp.app.workspace import Phase, Workspace
from gemma_lsp.base.errors import ConfigError, EngineError
from gemma_lsp.cli import console
from gemma_lsp.cli.engines import engine_factory
from gemma_lsp.cli.index import holds_anything, nothing_to_read
from gemma_lsp.cli.terminal import TerminalHost, cost_line
from gemma_lsp.config.load import user_source
from gemma_lsp.features import questions
from gemma_lsp.features.telling import BASE_MODEL_NOTE, Explanation


@dataclass(frozen=True, slots=True, kw_only=True)
class AskOptions:
    """What is asked of which folder; `model` is "" for the settings' one."""

    question: str
    root: Path
    model: str = ""


def run_ask(options: AskOptions) -> int:
    """Asks and prints; the exit code. Raises `GemmaLspError` where there is no answer and nothing said why."""
    if not options.question.strip():
        raise ConfigError('ask something: `gemma-lsp ask "Where are the rates read?"`')
    if not holds_anything(options.root):
        raise ConfigError(f"{nothing_to_read(options.root)}; `gemma-lsp index` says what was left out")
    return asyncio.run(_ask(options))


async def _ask(options: AskOptions) -> int:
    err = console.stderr()
    with TerminalHost(err) as host:
        app = App(engine_factory(options.model), host)
        try:
            await app.configure([user_source()])
            app.add_folder(options.root, options.root.name)
            await app.start()
            workspace = app.workspaces[0]
            await host.until(lambda: workspace.phase.settled)
            if workspace.phase is Phase.FAILED:
                if host.has_said(workspace.error):
                    return 1
                raise EngineError(workspace.error)
            if not workspace.snapshot.files:  # there are some, and none is fit to be read
                raise ConfigError(f"{nothing_to_read(options.root)}; `gemma-lsp index` says what was left out")
            answer = await app.answer(workspace, lambda ctx: questions.ask(ctx, options.question, _say))
        finally:
            await app.close()
    print(flush=True)
    _print_rest(err, workspace, answer)
    return 0


def _say(delta: str) -> None:
    sys.stdout.write(delta)
    sys.stdout.flush()


def _print_rest(err: Console, workspace: Workspace, answer: Explanation) -> None:
    """Where the answer's quotes stand, what it cost, and what to think of it."""
    for citation in answer.citations:
        err.print(escape(f"{citation.path}:{citation.line}: {citation.quoted}"), soft_wrap=True)
    if answer.dropped_citations:
        err.print(f"{answer.dropped_citations} quotes stand in no file")
    err.print(f"[dim]{cost_line(answer.cost)}[/]", soft_wrap=True)
    if workspace.resident is not None and not workspace.resident.frame.chat:
        err.print(f"[yellow]{escape(BASE_MODEL_NOTE)}[/]", soft_wrap=True)
