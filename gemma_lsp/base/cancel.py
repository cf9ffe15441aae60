"""Cancellation with two ends: the source stays with whoever may cancel, the token travels with the work.

Both ends may be used from any thread.
"""

from __future__ import annotations

import threading

from gemma_lsp.base.errors import Cancelled


class CancelToken:
    """The end that travels: the work asks it between steps."""

    __slots__ = ("_event",)

    def __init__(self, event: threading.Event) -> None:
        self._event = event

    @property
    def cancelled(self) -> bool:
        """Whether the asker has given up."""
        return self._event.is_set()

    def check(self) -> None:
        """Raises `Cancelled` if the asker has given up."""
        if self._event.is_set():
            raise Cancelled("the request was cancelled")


class CancelSource:
    """The end that stays. Cancelling twice is the same as once."""

    __slots__ = ("_event", "token")

    def __init__(self) -> None:
        self._event = threading.Event()
        self.token = CancelToken(self._event)

    def cancel(self) -> None:
        """Tells every holder of the token to stop at its next step."""
        self._event.set()
