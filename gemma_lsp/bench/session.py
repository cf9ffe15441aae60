"""An engine in this process for one measurement: the model loaded, asked, and closed. Event loop only."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from gemma_lsp.base.errors import EngineError
from gemma_lsp.bench.driver import ScoringBackend
from gemma_lsp.bench.editing import Editing, TokenCounter
from gemma_lsp.bench.history import History, read_history
from gemma_lsp.engine.asking import LocalClient
from gemma_lsp.engine.backend import Backend
from gemma_lsp.engine.client import EngineClient, GenerateOptions
from gemma_lsp.engine.core import Engine
from gemma_lsp.engine.messages import Cost, Finished, ModelInfo, Progress
from gemma_lsp.engine.snapshots import SnapshotStore
from gemma_lsp.prompt.segments import Prompt

WORKSPACE = "bench"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """How a model is loaded for a part of the bench."""

    n_ctx: int
    n_trunks: int = 1
    n_outputs: int = 0  # rows of logits at a time; 0: as the server has it
    shifts: bool = False  # cells are to be moved, if the model and the build can


class Load(Protocol):
    """Loads the model; called once for each part of a bench, and never while another is loaded."""

    def __call__(self, options: LoadOptions) -> ScoringBackend:
        """The loaded model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A running engine and the model in it."""

    client: LocalClient
    backend: Backend
    model: ModelInfo

    def editing(self, history: History) -> Editing:
        """The history's first state as this model's prompt."""
        return Editing(history, self.model, TokenCounter(self.backend.tokenize))

    def about(self, history: History) -> dict[str, Any]:
        """What every report says of the repository and the model."""
        model = self.model
        return {
            "repo": history.name,
            "commit": history.start,
            "model": model.name,
            "build": model.build,
            "threads": model.threads,
            "devices": list(model.devices),
        }


@asynccontextmanager
async def session(backend: Backend, snapshots: Callable[[str], SnapshotStore] | None = None) -> AsyncIterator[Session]:
    """An engine over a loaded model; closed at the end, the model with it."""
    engine = Engine(lambda _: backend, snapshots)
    client = LocalClient(engine)
    engine.start()
    try:
        yield Session(client=client, backend=backend, model=await client.ready())
    finally:
        await client.close()


@asynccontextmanager
async def repository_session(
    repo: Path, n_ctx: int, load: Load, say: Say
) -> AsyncIterator[tuple[Session, Editing, dict[str, Any]]]:
    """An engine with a repository's last commit but one resident: the session, its prompt, what a report says of it."""
    say("loading the model")
    history = read_history(repo, steps=1)
    async with session(load(LoadOptions(n_ctx=n_ctx))) as running:
        editing = running.editing(history)
        resident = editing.count.total(editing.resident.whole)
        say(f"reading {resident:,} tokens")
        await warm(running.client, editing.resident.whole)
        yield running, editing, {**running.about(history), "resident_tokens": resident}


async def warm(client: EngineClient, prompt: Prompt, workspace: str = WORKSPACE, *, moves: bool = False) -> Cost:
    """Makes a prompt resident, and exact unless cells may be moved."""
    return (await client.warm(workspace, prompt, _ignore, moves=moves)).cost


async def finished(
    client: EngineClient, prompt: Prompt, options: GenerateOptions, workspace: str = WORKSPACE
) -> Finished:
    """One answer from its start to its end. Raises `EngineError`."""
    async for event in client.generate(workspace, prompt, options):
        if isinstance(event, Finished):
            return event
    raise EngineError("the engine did not finish; run the bench again")


def tokens_of(backend: Backend, prompt: Prompt) -> list[int]:
    """A prompt as llama-server is given it: the token that every prompt starts with, and what can be seen."""
    bos = [] if backend.bos is None else [backend.bos]
    return [*bos, *(token for s in prompt for token in backend.tokenize(s.visible, s.special))]


def _ignore(progress: Progress) -> None:
    """Nobody watches a single prompt here."""
