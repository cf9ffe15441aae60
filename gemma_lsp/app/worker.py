"""A task that does what is due and then waits to be woken. Event loop only."""

from __future__ import annotations

import asyncio
import logging

from gemma_lsp.base.errors import GemmaLspError

log = logging.getLogger(__name__)


class Worker:
    """Subclasses say what is due (`_step`) and what a failure means (`_failed`). Cancelling stops the step."""

    name = "worker"

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()

    def start(self) -> None:
        """Begins; a second time, nothing."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=self.name)

    async def stop(self) -> None:
        """Stops and waits for it."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    def wake(self) -> None:
        """Something is due."""
        self._wake.set()

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self._step()
            except GemmaLspError as error:
                self._failed(str(error))
                await self._after_failure(error)
            except Exception as error:
                log.exception("%s failed", self.name)
                self._failed(f"{self.name} failed: {error}; see the log")
                await self._after_failure(error)
            await self._wake.wait()

    async def _step(self) -> None:
        """Does whatever is due."""

    def _failed(self, message: str) -> None:
        """A step failed, and will be tried again when the worker is woken."""

    async def _after_failure(self, error: Exception) -> None:
        """A moment to wait before the next step, or to wake itself."""
