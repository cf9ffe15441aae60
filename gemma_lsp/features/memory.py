"""What features remember between requests, so that the same question is not asked of the model twice.

Bounded, in memory only, keyed by content: nothing here can be stale. The event loop's thread only.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Generic, TypeVar

from gemma_lsp.base.digest import digest_text
from gemma_lsp.prompt.segments import Prompt
from gemma_lsp.text import Edit

K = TypeVar("K")
V = TypeVar("V")

MAX_COMPLETIONS = 250
MAX_SHOWN = 16
MAX_REVIEWS = 2000


class Recent(Generic[K, V]):
    """A dictionary that forgets what was used longest ago."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._entries: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        """What is known, now the most recently used."""
        if key not in self._entries:
            return None
        self._entries.move_to_end(key)
        return self._entries[key]

    def put(self, key: K, value: V) -> None:
        """Remembers, and forgets the oldest beyond the limit."""
        self._entries[key] = value
        self._entries.move_to_end(key)
        while len(self._entries) > self._limit:
            self._entries.popitem(last=False)

    def __len__(self) -> int:
        return len(self._entries)


@dataclass(frozen=True, slots=True)
class Remembered:
    """The result of one completion: its text, or "" and why there is none."""

    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class _Shown:
    head: str
    path: str
    before: str
    after: str
    text: str


class CompletionCache:
    """Results by the exact text around the cursor and the resident prompt; "no suggestion" is a result too."""

    def __init__(self) -> None:
        self._results: Recent[str, Remembered] = Recent(MAX_COMPLETIONS)
        self._shown: list[_Shown] = []
        self._latest: dict[str, int] = {}
        self._head: tuple[Prompt, str] = ((), "")

    def key(self, head: Prompt, path: str, before: str, after: str, how: str) -> str:
        """The key of a completion; `how` tells apart what else decides on it."""
        return digest_text("\0".join((self._digest(head), path, how, digest_text(before), digest_text(after))))

    def get(self, key: str) -> Remembered | None:
        """A result that is known."""
        return self._results.get(key)

    def put(self, key: str, result: Remembered) -> None:
        """Keeps a result."""
        self._results.put(key, result)

    def show(self, head: Prompt, path: str, before: str, after: str, text: str) -> None:
        """Remembers what is shown, for when the user types it."""
        self._shown = [_Shown(self._digest(head), path, before, after, text), *self._shown][:MAX_SHOWN]

    def typed_along(self, head: Prompt, path: str, before: str, after: str) -> str | None:
        """What is left of a suggestion whose start the user has typed; None if there is none, never ""."""
        for shown in self._shown:
            typed = before[len(shown.before) :]
            same = shown.path == path and shown.after == after and shown.head == self._digest(head)
            if same and before.startswith(shown.before) and shown.text.startswith(typed) and shown.text != typed:
                return shown.text[len(typed) :]
        return None

    def enter(self, path: str) -> int:
        """A ticket for a request; it holds until the next request for the same file."""
        self._latest[path] = self._latest.get(path, 0) + 1
        return self._latest[path]

    def holds(self, path: str, ticket: int) -> bool:
        """Whether no newer request for the file has come."""
        return self._latest.get(path) == ticket

    def _digest(self, head: Prompt) -> str:
        """Digest of the resident prompt, computed once for each state of it."""
        if self._head[0] is not head:
            self._head = (head, digest_text("".join(segment.key for segment in head)))
        return self._head[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class RelativeFinding:
    """A finding in one definition; the span counts from the definition's start."""

    start: int
    end: int
    quoted: str
    message: str
    severity: str
    confidence: int  # per cent
    edits: tuple[Edit, ...] = ()  # that confirmed it; they count from the start of the definition's first line


ReviewCache = Recent[str, tuple[RelativeFinding, ...]]
"""Findings by the digest of the definition's text and the model."""
