"""What the app needs from outside: an engine, and somebody who can tell a person. Event loop only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from gemma_lsp.config.schema import Settings
from gemma_lsp.engine.client import EngineClient
from gemma_lsp.engine.messages import Cost

EngineFactory = Callable[[Settings], Awaitable[EngineClient]]
"""Connects to the engine that the settings ask for; raises `ModelError` or `EngineUnavailable`."""


class TaskView(Protocol):
    """A long piece of work as a person sees it. `end` is called once."""

    def report(self, message: str, percentage: int | None = None) -> None:
        """How far it is."""

    def end(self, message: str) -> None:
        """It is over."""


class Host(Protocol):
    """Whoever stands between the app and a person. No call blocks."""

    def begin_task(self, title: str, cancel: Callable[[], object] | None = None) -> TaskView:
        """Shows a piece of work; `cancel` is called when the person wants it stopped."""

    def warn(self, message: str) -> None:
        """Shows a warning; the same one is shown once."""

    def fail(self, message: str) -> None:
        """Shows an error."""

    def answered(self, kind: str, cost: Cost, reason: str) -> None:
        """An answer was given at this cost."""

    def state_changed(self) -> None:
        """What could not be answered before can be now: the model, the index or a setting is another."""


class _NoView:
    def report(self, message: str, percentage: int | None = None) -> None:
        pass

    def end(self, message: str) -> None:
        pass


NO_VIEW: TaskView = _NoView()
"""Work that nobody sees."""


class Silence:
    """A host that tells nobody: for tests and for commands without a person."""

    def begin_task(self, title: str, cancel: Callable[[], object] | None = None) -> TaskView:
        """A view that nobody sees."""
        return NO_VIEW

    def warn(self, message: str) -> None:
        """Says nothing."""

    def fail(self, message: str) -> None:
        """Says nothing."""

    def answered(self, kind: str, cost: Cost, reason: str) -> None:
        """Says nothing."""

    def state_changed(self) -> None:
        """Says nothing."""
