"""The answers of one session: those that are under way, to be stopped, and the last few, to be followed up."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from gemma_lsp.prompt.tails import Exchange

MAX_REMEMBERED = 8


class Told(Protocol):
    """What is remembered of an answer besides its words."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def question(self) -> str:
        """What it answered; "" where nothing can be asked about it later."""

    @property
    def earlier(self) -> tuple[Exchange, ...]:
        """What was said before it."""


class Tellings:
    """Event loop only. Ids are the client's."""

    def __init__(self) -> None:
        self._running: dict[str, Callable[[], None]] = {}
        self._remembered: OrderedDict[str, tuple[Exchange, ...]] = OrderedDict()

    def runs(self, id_: str) -> bool:
        """Whether an answer of this id is under way."""
        return id_ in self._running

    def begin(self, id_: str, stop: Callable[[], None]) -> None:
        """An answer is under way; `stop` ends it."""
        self._running[id_] = stop

    def end(self, id_: str) -> None:
        """It is over."""
        self._running.pop(id_, None)

    def stop(self, id_: str) -> bool:
        """The person has had enough. Whether there was something to stop."""
        stop = self._running.get(id_)
        if stop is not None:
            stop()
        return stop is not None

    def remember(self, told: Told, words: str) -> None:
        """Keeps an answer, and forgets the oldest beyond the limit."""
        if not told.question or not words:
            return
        self._remembered[told.id] = (*told.earlier, Exchange(told.question, words))
        self._remembered.move_to_end(told.id)
        while len(self._remembered) > MAX_REMEMBERED:
            self._remembered.popitem(last=False)

    def earlier(self, id_: str) -> tuple[Exchange, ...] | None:
        """What was said up to and with the answer of this id, the oldest first; None where it is forgotten."""
        return self._remembered.get(id_)
