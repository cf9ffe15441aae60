"""`bench complete` from start to end: loads the model, asks, scores, and writes results as they come. Blocks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gemma_lsp.bench.child import missing_limits
from gemma_lsp.bench.complete.ask import Asker
from gemma_lsp.bench.complete.history import TRUTH_TOKENS, Context, Scene, replay_tasks
from gemma_lsp.bench.complete.history import comparisons as between_contexts
from gemma_lsp.bench.complete.infill import comparisons, infill
from gemma_lsp.bench.complete.local import DriverClient
from gemma_lsp.bench.complete.next import next_lines
from gemma_lsp.bench.complete.store import Store
from gemma_lsp.bench.complete.tasks import InfillTask, read_tasks, sampled
from gemma_lsp.bench.complete.types import Comparison, Row
from gemma_lsp.bench.driver import Driver
from gemma_lsp.bench.editing import Editing, TokenCounter
from gemma_lsp.bench.history import read_history
from gemma_lsp.bench.llama_server import LlamaServer, ServerOptions, find_llama_server
from gemma_lsp.bench.session import Load, LoadOptions, session
from gemma_lsp.engine.backend import tail_room
from gemma_lsp.engine.messages import ModelInfo

Say = Callable[[str], None]
CELLS = 2  # contexts that the two trunks with their masked cells fit into


@dataclass(frozen=True, slots=True, kw_only=True)
class CompleteOptions:
    """What is measured. `sample` 0 takes all tasks; `model` is the file, for llama-server at `against`."""

    tasks: Path
    model: str = ""
    against: Path | None = None
    sample: int = 0
    seed: int = 0
    n_ctx: int = 4096
    json_to: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NextOptions:
    """A history whose next lines are asked for. `sample` 0 takes all; `seed` chooses them."""

    repo: Path
    rev: str = ""
    commits: int = 60
    sample: int = 0
    seed: int = 0
    n_ctx: int = 8192
    contexts: tuple[Context, ...] = (Context.REPO, Context.FILE)
    json_to: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """Everything that was measured. `notes`: what could not be protected or measured, in words."""

    about: dict[str, Any]
    rows: tuple[Row, ...]
    comparisons: tuple[Comparison, ...]
    notes: tuple[str, ...] = ()


def run_infill(options: CompleteOptions, load: Load, say: Say) -> Completed:
    """Infilling tasks. Raises `GemmaLspError`; what was measured until then is in the JSON file."""
    tasks = sampled(read_tasks(options.tasks), options.sample, options.seed)
    say("loading the model")
    return asyncio.run(_infill(options, tasks, load, say))


def run_next(options: NextOptions, load: Load, say: Say) -> Completed:
    """Next-line tasks. Raises `GemmaLspError`; what was measured until then is in the JSON file."""
    say("reading the history")
    history = read_history(options.repo, rev=options.rev, steps=options.commits)
    script = next_lines(history, n=options.sample, seed=options.seed)
    say("loading the model")
    driver = Driver(
        load(
            LoadOptions(
                n_ctx=CELLS * options.n_ctx,
                n_trunks=len({context.trunk for context in Context}),
                n_outputs=TRUTH_TOKENS,
            )
        )
    )
    try:
        # The cells beyond the context hold the other trunk and what is masked.
        model = replace(driver.backend.info, n_ctx=options.n_ctx, n_tail=tail_room(options.n_ctx))
        about = {
            "tasks": f"{history.name} {history.start[:12]}..{history.end[:12]}",
            "seed": options.seed,
            "model": model.name,
            "build": model.build,
            "n_ctx": options.n_ctx,
        }
        store = Store(options.json_to, about)
        editing = Editing(history, model, TokenCounter(driver.backend.tokenize))
        scene = Scene(driver=driver, client=DriverClient(driver, model), editing=editing)
        replay_tasks(scene, script, options.contexts, store, say)
    finally:
        driver.close()
    return Completed(about=store.about, rows=tuple(store.rows), comparisons=tuple(between_contexts(store.rows)))


async def _infill(options: CompleteOptions, tasks: list[InfillTask], load: Load, say: Say) -> Completed:
    async with session(load(LoadOptions(n_ctx=options.n_ctx, n_trunks=2))) as running:
        client, model = running.client, running.model
        store = Store(options.json_to, _about(options, model))
        asker = Asker(client=client, model=model)
        if options.against is None:
            await infill(asker, tasks, store, say)
        else:
            program = find_llama_server(options.against)
            server_options = ServerOptions(
                program=program, model=options.model, n_ctx=options.n_ctx, threads=model.threads
            )
            with LlamaServer(server_options) as server:
                await infill(asker, tasks, store, say, server)
    notes = tuple(note for note in (missing_limits(),) if note)
    return Completed(about=store.about, rows=tuple(store.rows), comparisons=tuple(comparisons(store.rows)), notes=notes)


def _about(options: CompleteOptions, model: ModelInfo) -> dict[str, Any]:
    return {
        "tasks": options.tasks.name,
        "model": model.name,
        "build": model.build,
        "n_ctx": options.n_ctx,
    }
