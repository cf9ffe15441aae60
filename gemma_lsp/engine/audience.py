"""Who waits for a run's answer, and its text on the way to them. Any thread: one may join or leave from another."""

from __future__ import annotations

import codecs
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gemma_lsp.engine.messages import Cost, Delta, Event, Finished

Reply = Callable[[Event], None]
DELTA_S = 0.04
"""Text goes out so often at most (s): whoever hears it wakes up for it, and takes a core from the next token."""


@dataclass(slots=True)
class Listener:
    """Someone who waits for a run's answer; several may share one run."""

    id: str
    reply: Reply


class Audience:
    """The listeners of one run. Each hears all of the text, whenever it came, and exactly one end."""

    def __init__(self, listener: Listener, stop: Sequence[str]) -> None:
        self.listeners = [listener]
        self._lock = threading.RLock()
        self._writer = Writer(stop)
        self._unsaid, self._said_at = "", 0.0

    def write(self, piece: bytes) -> bool:
        """The next bytes of the answer; whether a stop string was met."""
        with self._lock:
            text, stopped = self._writer.write(piece)
            self._unsaid += text
            if time.monotonic() - self._said_at >= DELTA_S:
                self._say()
            return stopped

    def tell(self, event: Callable[[str], Event]) -> None:
        """Something for everyone, by the id of each."""
        with self._lock:
            for listener in self.listeners:
                listener.reply(event(listener.id))

    def attach(self, listener: Listener) -> None:
        """One more shares the answer, and gets at once what there is."""
        with self._lock:
            self._say()
            self.listeners.append(listener)
            if self._writer.text:
                listener.reply(Delta(id=listener.id, text=self._writer.text))

    def detach(self, listener: Listener, cost: Cost) -> None:
        """One of several no longer wants the answer."""
        with self._lock:
            self._say()
            self.listeners.remove(listener)
            listener.reply(Finished(id=listener.id, text=self._writer.text, reason="cancelled", cost=cost))

    def finish(self, reason: str, cost: Cost, first_chance: float) -> None:
        """Answers everyone. What may be the start of a stop string is said too, unless nobody wants it."""
        with self._lock:
            if reason not in ("cancelled", "superseded"):
                self._unsaid += self._writer.flush()
            self._say()
            text = self._writer.text
            self.tell(lambda id_: Finished(id=id_, text=text, reason=reason, cost=cost, first_chance=first_chance))
            self.listeners = []

    def leave(self) -> list[Listener]:
        """Those who must be told by somebody else that there will be no answer."""
        with self._lock:
            told, self.listeners = self.listeners, []
            return told

    def _say(self) -> None:
        if self._unsaid:
            text = self._unsaid
            self.tell(lambda id_: Delta(id=id_, text=text))
            self._unsaid, self._said_at = "", time.monotonic()


class Writer:
    """Turns bytes into text: whole code points only, and nothing that may be the start of a stop string."""

    def __init__(self, stop: Sequence[str]) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stop = tuple(s for s in stop if s)
        self._pending = ""
        self.text = ""

    def write(self, piece: bytes) -> tuple[str, bool]:
        """Text that is certain now, and whether a stop string was met (it is not part of the text)."""
        self._pending += self._decoder.decode(piece)
        cut = min((at for s in self._stop if (at := self._pending.find(s)) >= 0), default=-1)
        if cut >= 0:
            return self._take(cut, drop_rest=True), True
        held = max((_overlap(self._pending, s) for s in self._stop), default=0)
        return self._take(len(self._pending) - held), False

    def flush(self) -> str:
        """What was held back and turned out not to be a stop string; half a code point is dropped."""
        return self._take(len(self._pending))

    def _take(self, n: int, *, drop_rest: bool = False) -> str:
        text, self._pending = self._pending[:n], "" if drop_rest else self._pending[n:]
        self.text += text
        return text


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that starts `stop`."""
    return next((n for n in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:n])), 0)
