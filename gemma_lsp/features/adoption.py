"""Running completions, which outlive the requests that asked for them: who types what comes anyway keeps the run.

A run goes on for a moment after the last request for it was cancelled, because editors cancel with every key; it ends
at once when the text goes another way. Event loop only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from gemma_lsp.engine.messages import Cost
from gemma_lsp.features.memory import Origin, Outcome

LINGER_S = 0.5  # longer than the slowest client waits after a key before it asks; guessed

Work = Callable[[Callable[[str], None]], Awaitable[Outcome]]
"""Asks the model; its argument is to be told the text as it comes."""


class Generation:
    """One question that is being answered. `text`: what has come so far, before anything is cut from it."""

    def __init__(self, origin: Origin, work: Work) -> None:
        self.origin = origin
        self.text = ""
        self._news = asyncio.Event()
        self._n_waiting, self._claimed = 0, False
        self._task = asyncio.ensure_future(work(self._heard))
        self._task.add_done_callback(self._on_done)

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return not self._task.done()

    def agrees(self, typed: str) -> bool:
        """Whether what was typed since is what it says, as far as it has come."""
        return self.text.startswith(typed) or typed.startswith(self.text)

    async def outcome(self, typed: str) -> Outcome | None:
        """Waits for the end; None as soon as it says something else than what was typed, and where it was stopped.

        Raises what the engine raised. Cancelling the wait does not cancel the run.
        """
        self._n_waiting += 1
        try:
            while self.running:
                if not self.agrees(typed):
                    return None
                news = self._news
                await news.wait()
        finally:
            self._n_waiting -= 1
            if not self._n_waiting and self.running:
                asyncio.get_running_loop().call_later(LINGER_S, self._stop_unless_awaited)
        return None if self._task.cancelled() else self._task.result()

    def claim(self) -> Cost | None:
        """What it cost, to whoever asks first: several may share an outcome, and it is told once."""
        claimed, self._claimed = self._claimed, True
        ended = not self.running and not self._task.cancelled() and self._task.exception() is None
        return self._task.result().cost if ended and not claimed else None

    def stop(self) -> None:
        """Nobody wants it any more; whoever waits gets None."""
        self._task.cancel()

    def _stop_unless_awaited(self) -> None:
        if not self._n_waiting:
            self.stop()

    def _heard(self, text: str) -> None:
        self.text += text
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    def _on_done(self, task: asyncio.Future[Outcome]) -> None:
        _look_at(task)
        self._tell()


class Generations:
    """At most one running question for a file, and one place that is prepared for: who works elsewhere has left it."""

    def __init__(self) -> None:
        self._running: dict[str, Generation] = {}
        self._ahead: tuple[Origin, str, asyncio.Future[None]] | None = None

    @property
    def busy(self) -> bool:
        """Whether anything is being asked or prepared."""
        running = any(generation.running for generation in self._running.values())
        return running or (self._ahead is not None and not self._ahead[2].done())

    def start(self, origin: Origin, work: Work) -> Generation:
        """Asks; what is asked for the same file at the moment is stopped."""
        running = self._running.get(origin.path)
        if running is not None:
            running.stop()
        generation = self._running[origin.path] = Generation(origin, work)
        return generation

    def adopt(self, now: Origin) -> tuple[Generation, str] | None:
        """A running question that fits, with what was typed since; one that does not fit is stopped."""
        found = self._running.get(now.path)
        if found is None or not found.running:
            return None
        typed = found.origin.typed_to(now)
        if typed is None or not found.agrees(typed) or not found.origin.same_elsewhere(now):
            found.stop()
            return None
        return found, typed

    def look_ahead(self, origin: Origin, text: str, work: Awaitable[None]) -> None:
        """Prepares for the acceptance of `text`, until something else is typed."""
        self.drop_ahead()
        task = asyncio.ensure_future(work)
        task.add_done_callback(_look_at)
        self._ahead = (origin, text, task)

    def edited(self, path: str, content: str) -> None:
        """The file reads like this now: what no longer leads there ends at once."""
        running = self._running.get(path)
        if running is not None and running.running:
            typed = running.origin.inserted(content)
            if typed is None or not running.agrees(typed):
                running.stop()
        if self._ahead is not None:
            origin, text, _ = self._ahead
            if path != origin.path or not _leads_to(origin, text, content):
                self.drop_ahead()

    def stop(self, path: str) -> None:
        """Nothing is asked for the file any more."""
        running = self._running.pop(path, None)
        if running is not None:
            running.stop()
        if self._ahead is not None and self._ahead[0].path == path:
            self.drop_ahead()

    def close(self) -> None:
        """Stops everything."""
        for path in tuple(self._running):
            self.stop(path)
        self.drop_ahead()

    def drop_ahead(self) -> None:
        """What is prepared for stands on a prompt that is another one now: it would have the old one read again."""
        if self._ahead is not None:
            self._ahead[2].cancel()
            self._ahead = None


def _look_at(task: asyncio.Future[Any]) -> None:
    """Reads a failure that nobody may be waiting for, lest it be reported as unread."""
    if not task.cancelled():
        task.exception()


def _leads_to(origin: Origin, text: str, content: str) -> bool:
    """Whether the text is on its way to the acceptance of `text`, or has come there and a new line further."""
    typed = origin.inserted(content)
    return typed is not None and (text.startswith(typed) or (typed.startswith(text) and not typed[len(text) :].strip()))
