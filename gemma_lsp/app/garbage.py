"""When Python looks for cycles: not while someone types, because a full collection takes as long as two keys.

Event loop only.
"""

from __future__ import annotations

import asyncio
import gc

_SELDOM = 1_000_000  # collections of the middle generation before a full one, which is to say never by itself
LOOK_S = 20.0
QUIET_S = 3.0


def defer_full_collections() -> None:
    """From now on only `Sweeper` looks at everything; young objects are collected as before."""
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, _SELDOM)


class Sweeper:
    """Collects once after each spell of changes, when it has been quiet for `QUIET_S`."""

    def __init__(self) -> None:
        self._changed_at: float | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins; a second time, nothing."""
        if self._task is None:
            defer_full_collections()
            self._task = asyncio.create_task(self._run(), name="sweeping")

    async def stop(self) -> None:
        """Stops and waits for it."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    def touched(self) -> None:
        """Something changed."""
        self._changed_at = asyncio.get_running_loop().time()

    def sweep(self) -> bool:
        """Collects if it is time; says whether it did."""
        if self._changed_at is None or asyncio.get_running_loop().time() - self._changed_at < QUIET_S:
            return False
        self._changed_at = None
        gc.collect()
        return True

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            self.sweep()
