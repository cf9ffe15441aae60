"""What features remember between requests, so that the same question is not asked of the model twice.

Bounded, in memory only, keyed by content: nothing here can be stale. The event loop's thread only.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Generic, TypeVar

from gemma_lsp.base.digest import digest_text
from gemma_lsp.engine.messages import Cost
from gemma_lsp.prompt.segments import Prompt, Segment
from gemma_lsp.syntax.similar import Excerpt
from gemma_lsp.text import Edit, Text
from gemma_lsp.workspace.patched import differing

K = TypeVar("K")
V = TypeVar("V")

MAX_COMPLETIONS = 250
MAX_KNOWN = 16
MAX_REVIEWS = 2000
MAX_PLACES = 32  # of which it is known what is like them


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a question to the model. `unwanted`: somebody else stopped it, and nothing may be concluded."""

    result: Remembered
    cost: Cost
    unwanted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a completion was asked for: the text around the cursor, and what all the files said then."""

    path: str
    before: str
    after: str
    files: Mapping[str, Text]

    def typed_to(self, now: Origin) -> str | None:
        """What was typed at the cursor between here and `now`; None if the file's text changed in another way."""
        same = now.path == self.path and now.after == self.after and now.before.startswith(self.before)
        return now.before[len(self.before) :] if same else None

    def inserted(self, content: str) -> str | None:
        """What stands at the cursor in a later text of the file; None if anything else has changed."""
        end = len(content) - len(self.after)
        same = end >= len(self.before) and content.startswith(self.before) and content.endswith(self.after)
        return content[len(self.before) : end] if same else None

    def same_elsewhere(self, now: Origin) -> bool:
        """Whether every other file reads as it did. A file that did not change keeps its very `Text`."""
        return differing(self.files, now.files) <= {self.path}


@dataclass(frozen=True, slots=True)
class Writing:
    """Where one writes, as far as it decides what is like it: how far the code around it goes back, and the chunk.

    `stage`: how far the chunk has come; `chars`: how much may be shown.
    """

    path: str
    shown_from: int
    chunk: int
    stage: int
    chars: int


@dataclass(slots=True)
class SimilarMemory:
    """What was found to be like a place, and by file what stands before the code at the cursor now."""

    found: Recent[Writing, tuple[Excerpt, ...]] = field(default_factory=lambda: Recent(MAX_PLACES))
    shown: dict[str, tuple[Writing, tuple[Excerpt, ...]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Learned:
    """What the engine remembers of a workspace beside the prompt: files by path, each as it was then."""

    files: Mapping[str, Segment] = field(default_factory=dict)

    @cached_property
    def name(self) -> str:
        """What the engine knows it by: the same texts have the same name."""
        return digest_text("".join(sorted(segment.key for segment in self.files.values())))


@dataclass(frozen=True, slots=True)
class _Known:
    origin: Origin
    text: str


class CompletionCache:
    """Results by the exact text around the cursor and the resident prompt; "no suggestion" is a result too.

    Beside it the last suggestions, for when the user types them. These do not depend on how the prompt is laid out: a
    suggestion that is typed along stays, whatever is read again meanwhile.
    """

    def __init__(self) -> None:
        self._results: Recent[str, Remembered] = Recent(MAX_COMPLETIONS)
        self._known: list[_Known] = []
        self._latest: dict[str, int] = {}
        self._head: tuple[Prompt, str] = ((), "")

    def key(self, head: Prompt, origin: Origin, how: str) -> str:
        """The key of a completion; `how` tells apart what else decides on it."""
        around = (digest_text(origin.before), digest_text(origin.after))
        return digest_text("\0".join((self._digest(head), origin.path, how, *around)))

    def get(self, key: str) -> Remembered | None:
        """A result that is known."""
        return self._results.get(key)

    def put(self, key: str, result: Remembered) -> None:
        """Keeps a result."""
        self._results.put(key, result)

    def suggested(self, origin: Origin, text: str) -> None:
        """Remembers a suggestion, for when the user types it."""
        self._known = [_Known(origin, text), *self._known][:MAX_KNOWN]

    def typed_along(self, now: Origin) -> str | None:
        """What is left of a suggestion whose start the user has typed; None if there is none, never ""."""
        for known in self._known:
            typed = known.origin.typed_to(now)
            goes_on = typed is not None and known.text.startswith(typed) and known.text != typed
            if typed is not None and goes_on and known.origin.same_elsewhere(now):
                return known.text[len(typed) :]
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
