"""When nobody works: what may wait is done then. Event loop only."""

from __future__ import annotations

import asyncio

from gemma_lsp.app.tasks import first_of


class Quiet:
    """Nobody has typed for `idle_s` seconds and no answer is under way (`unasked`), or something is `pressed`."""

    def __init__(self, unasked: asyncio.Event, idle_s: float) -> None:
        self.idle_s = idle_s
        self.pressed = asyncio.Event()  # what is due is due at once
        self.due_since = 0.0  # quiet is counted from here on, too
        self._unasked, self._touched = unasked, 0.0

    def touched(self) -> None:
        """Somebody has typed."""
        self._touched = asyncio.get_running_loop().time()

    def from_now(self) -> None:
        """Something has become due: it may not be the last of several."""
        self.due_since = asyncio.get_running_loop().time()

    @property
    def now(self) -> bool:
        """Whether it is quiet."""
        return self._left <= 0 and self._unasked.is_set()

    def left(self, times: float) -> float:
        """Seconds, if nobody types, until it has been quiet for so many times as long."""
        return self._touched + times * self.idle_s - asyncio.get_running_loop().time()

    async def wait(self) -> None:
        """Until it is quiet, or something is due at once."""
        while not (self.now or self.pressed.is_set()):
            left = self._left
            await first_of(asyncio.sleep(left) if left > 0 else self._unasked.wait(), self.pressed.wait())

    async def unasked(self) -> None:
        """Until no answer is under way, or something is due at once."""
        await first_of(self._unasked.wait(), self.pressed.wait())

    @property
    def _left(self) -> float:
        return max(self._touched, self.due_since) + self.idle_s - asyncio.get_running_loop().time()
