"""Work-done progress: create, begin, report, end, and the person's wish to stop. Event loop only.

Helix shows the token itself, so tokens are words. A client that refuses a token, or has no progress, sees nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from lsprotocol import types

from gemma_lsp.server.errors import LspError

log = logging.getLogger(__name__)
REPORT_S = 0.1  # reports closer together than this are dropped: a status bar cannot show more

Token = int | str
Send = Callable[[str, Any], Awaitable[Any]]
Notify = Callable[[str, Any], None]


class Progresses:
    """The running ones, by token."""

    def __init__(self, send: Send, notify: Notify) -> None:
        self._send, self._notify = send, notify
        self._running: dict[Token, Progress] = {}
        self._used: Counter[str] = Counter()
        self._creating: set[asyncio.Task[None]] = set()

    def begin(self, title: str, cancel: Callable[[], object] | None = None, token: Token | None = None) -> Progress:
        """Begins one. `token`: the client's own, from a request; without it the client is asked for one first."""
        ours = self._fresh(title) if token is None else token
        progress = Progress(title, cancel, lambda value: self._value(ours, value), lambda: self._forget(ours))
        self._running[ours] = progress
        if token is not None:
            progress.accepted()
        else:
            task = asyncio.create_task(self._create(ours, progress))
            self._creating.add(task)
            task.add_done_callback(self._creating.discard)
        return progress

    def cancel(self, token: Token) -> None:
        """The person wants one stopped."""
        progress = self._running.get(token)
        if progress is not None and progress.cancel is not None:
            progress.cancel()

    async def _create(self, token: Token, progress: Progress) -> None:
        try:
            await self._send(types.WINDOW_WORK_DONE_PROGRESS_CREATE, types.WorkDoneProgressCreateParams(token))
        except LspError as error:
            log.debug("the client refused progress: %s", error.message)
            self._forget(token)
            return
        progress.accepted()

    def _fresh(self, title: str) -> str:
        """A token that was never used: the protocol gives each one life only."""
        self._used[title] += 1
        name, n = f"gemma-lsp: {title}", self._used[title]
        return name if n == 1 else f"{name} ({n})"

    def _value(self, token: Token, value: Any) -> None:
        self._notify(types.PROGRESS, types.ProgressParams(token, value))

    def _forget(self, token: Token) -> None:
        self._running.pop(token, None)


class Progress:
    """One piece of work. Until the client has accepted its token, what happens is kept back."""

    def __init__(
        self,
        title: str,
        cancel: Callable[[], object] | None,
        emit: Callable[[Any], None],
        on_end: Callable[[], None],
    ) -> None:
        self.cancel = cancel
        self._title, self._emit, self._on_end = title, emit, on_end
        self._accepted = self._ended = False
        self._latest: tuple[str, int | None] | None = None
        self._end_message = ""
        self._last = 0.0

    def accepted(self) -> None:
        """The client knows the token: now it may be told."""
        self._accepted = True
        percentage = self._latest[1] if self._latest else None
        self._emit(
            types.WorkDoneProgressBegin(title=self._title, cancellable=self.cancel is not None, percentage=percentage)
        )
        if self._latest is not None:
            self._report(*self._latest)
        if self._ended:
            self._finish()

    def report(self, message: str, percentage: int | None = None) -> None:
        """How far it is."""
        self._latest = (message, percentage)
        now = asyncio.get_running_loop().time()
        if self._accepted and not self._ended and now - self._last >= REPORT_S:
            self._last = now
            self._report(message, percentage)

    def end(self, message: str) -> None:
        """It is over; a second time, nothing."""
        if self._ended:
            return
        self._ended, self._end_message = True, message
        if self._accepted:
            self._finish()

    def _report(self, message: str, percentage: int | None) -> None:
        cancellable = self.cancel is not None
        self._emit(types.WorkDoneProgressReport(message=message, percentage=percentage, cancellable=cancellable))

    def _finish(self) -> None:
        self._emit(types.WorkDoneProgressEnd(message=self._end_message))
        self._on_end()
