"""A workspace for one task: index, prompt and memory as the server has them, over an engine that is already running.

Event loop only. Nothing is read from disk; the caller says which files there are.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

from gemma_lsp.app.laying import budget, lay_out
from gemma_lsp.config.schema import Settings
from gemma_lsp.engine.client import EngineClient
from gemma_lsp.features.context import FeatureContext, Memory
from gemma_lsp.models.trust import trust_in
from gemma_lsp.prompt.frame import frame_for
from gemma_lsp.prompt.layout import LayoutOptions
from gemma_lsp.prompt.resident import Resident
from gemma_lsp.syntax.index import build
from gemma_lsp.text import Text
from gemma_lsp.workspace.snapshot import WorkspaceSnapshot

TRUNK = "tasks"  # all tasks share one trunk: what they share of the prompt is read once


class Connect(Protocol):
    """Makes an engine client for contexts of so many tokens; called once, on the event loop, and closed by the bench.

    One that answers several requests at a time is asked several at a time.
    """

    def __call__(self, n_ctx: int) -> EngineClient:
        """The client; its model may still be loading."""


@asynccontextmanager
async def engine_for(connect: Connect, n_ctx: int) -> AsyncIterator[EngineClient]:
    """An engine for as long as the bench needs it."""
    client = connect(n_ctx)
    try:
        yield client
    finally:
        await client.close()


async def at_a_time(n: int, jobs: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Does the jobs, `n` of them at a time. The first failure ends all."""
    free = asyncio.Semaphore(n)

    async def one(job: Coroutine[Any, Any, None]) -> None:
        async with free:
            await job

    tasks = [asyncio.create_task(one(job)) for job in jobs]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def room_for(
    client: EngineClient, files: Mapping[str, str], path: str, settings: Settings, name: str = "work"
) -> FeatureContext:
    """The state to answer from, with `path` open. Raises `ModelError` or `EngineError`."""
    model = await client.ready()
    texts = {file: Text.normalised(content) for file, content in files.items()}
    index = await asyncio.to_thread(build, WorkspaceSnapshot(root=None, name=name, files=texts))
    frame = frame_for(model, name)
    head = sum(await client.count(frame.head))
    options = LayoutOptions(
        budget_tokens=budget(model, settings.index.budget_tokens) - head, open_paths=(path,), recent_paths=(path,)
    )
    layout = await lay_out(index, options, client.count, {})
    return FeatureContext(
        index=index,
        resident=Resident.start(layout, index, frame),
        engine=client,
        workspace=TRUNK,
        settings=settings,
        model=model,
        frame=frame,
        memory=Memory(),
        trust=await asyncio.to_thread(trust_in, Path(model.path)),
    )
