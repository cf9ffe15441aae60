"""Tells a client how things stand whenever that changes: what `gemma-lsp/status` answers, unasked. Event loop only.

Nothing is polled: whoever changes something touches. Touches that come close together are one message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from gemma_lsp.app import TaskView

EVERY_S = 0.25


class Announcer:
    """Invariant: at most one message is due, and none says what the last one said."""

    def __init__(self, standing: Callable[[], dict[str, Any]], send: Callable[[dict[str, Any]], None]) -> None:
        self._standing, self._send = standing, send
        self._due: asyncio.TimerHandle | None = None
        self._last: dict[str, Any] | None = None
        self._last_at = float("-inf")

    def touched(self) -> None:
        """Something may have changed."""
        if self._due is None:
            loop = asyncio.get_running_loop()
            self._due = loop.call_later(max(0.0, self._last_at + EVERY_S - loop.time()), self._tell)

    def close(self) -> None:
        """Nothing is sent any more."""
        if self._due is not None:
            self._due.cancel()
        self._send = lambda standing: None

    def watching(self, view: TaskView) -> TaskView:
        """The view, such that what it shows counts as a change."""
        return _Watched(view, self.touched)

    def _tell(self) -> None:
        self._due, self._last_at = None, asyncio.get_running_loop().time()
        now = self._standing()
        if now != self._last:
            self._last = now
            self._send(now)


class _Watched:
    def __init__(self, view: TaskView, touched: Callable[[], None]) -> None:
        self._view, self._touched = view, touched

    def report(self, message: str, percentage: int | None = None) -> None:
        self._view.report(message, percentage)
        self._touched()

    def end(self, message: str) -> None:
        self._view.end(message)
        self._touched()
