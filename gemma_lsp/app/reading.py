"""One reading of a workspace's prompt by the engine, with its progress told. Event loop only."""

from __future__ import annotations

import asyncio

from gemma_lsp.app.ports import Host
from gemma_lsp.app.workspace import Workspace
from gemma_lsp.engine.client import EngineClient
from gemma_lsp.engine.messages import Finished, Progress


async def read(ws: Workspace, client: EngineClient, host: Host, name: str, *, moves: bool) -> Finished:
    """Has the workspace's layout read. `moves`: cells may be moved for it. Who stops it in the editor cancels the task.

    Raises:
        EngineUnavailable: the engine ended.
        asyncio.CancelledError: somebody stopped it; what was evaluated by then stays in the engine's cache.
    """
    task = asyncio.current_task()
    assert ws.resident is not None
    assert task is not None
    view = host.begin_task(name, task.cancel)

    def on_progress(progress: Progress) -> None:
        ws.warmed_tokens, ws.progress = progress.done, progress
        view.report(_how_far(progress), min(100, 100 * progress.done // max(1, progress.total)))

    try:
        finished = await client.warm(ws.key, ws.resident.whole, on_progress, moves=moves)
    except BaseException:
        ws.progress = None
        view.end("stopped")
        raise
    ws.progress = None
    view.end(f"{finished.cost.prompt or ws.warmed_tokens:,} tokens resident")
    return finished


def seconds_left(progress: Progress) -> float | None:
    """How long the rest takes at the present speed; None while that is not known."""
    left = max(0, progress.total - progress.done)
    return left / progress.tokens_per_s if progress.tokens_per_s > 0 else None


def _how_far(progress: Progress) -> str:
    text = f"{progress.done:,} of {progress.total:,} tokens"
    if progress.tokens_per_s > 0:
        text += f", {progress.tokens_per_s:,.0f}/s, {_duration(seconds_left(progress) or 0)} left"
    return text


def _duration(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole} s" if whole < 90 else f"{round(whole / 60)} min"
