"""What every feature gets: one state of the workspace, the engine, and what is remembered between requests."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gemma_lsp.config.schema import Settings
from gemma_lsp.engine.client import EngineClient
from gemma_lsp.engine.messages import ModelInfo
from gemma_lsp.features.adoption import Generations
from gemma_lsp.features.feedback import Offers
from gemma_lsp.features.habits import Habits
from gemma_lsp.features.memory import MAX_REVIEWS, CompletionCache, Learned, Recent, ReviewCache, SimilarMemory
from gemma_lsp.models.trust import UNKNOWN, Trust
from gemma_lsp.prompt.completion_tails import Place, hole_tail
from gemma_lsp.prompt.frame import Frame
from gemma_lsp.prompt.resident import Resident
from gemma_lsp.prompt.segments import Prompt
from gemma_lsp.syntax.index import Index
from gemma_lsp.text import Edit, Span, Text

if TYPE_CHECKING:
    from gemma_lsp.features.actions.edits import Proposal

MAX_PROPOSALS = 100
KEY_CHARS = 2  # that one key may put in or take away: editors close brackets by themselves
NEARBY_CHARS = 3000  # given around a cursor that is not in the hole


@dataclass(slots=True)
class Memory:
    """What features remember of one workspace. Its owner keeps it as long as the workspace is open."""

    completions: CompletionCache = field(default_factory=CompletionCache)
    generations: Generations = field(default_factory=Generations)
    habits: Habits = field(default_factory=Habits)
    offers: Offers = field(init=False)
    reviews: ReviewCache = field(default_factory=lambda: ReviewCache(MAX_REVIEWS))
    proposals: Recent[str, Proposal] = field(default_factory=lambda: Recent(MAX_PROPOSALS))
    similar: SimilarMemory = field(default_factory=SimilarMemory)
    paragraphs: Recent[str, str] = field(default_factory=lambda: Recent(MAX_PROPOSALS))
    n_edits: int = 0  # of any file, since the start
    _locks: dict[str, tuple[asyncio.Lock, int]] = field(default_factory=dict)
    _lengths: dict[str, int] = field(default_factory=dict)  # of the files that are being edited

    def __post_init__(self) -> None:
        self.offers = self.habits.offers()

    def edited(self, path: str, content: str) -> None:
        """The user changed a file."""
        self.n_edits += 1
        if abs(len(content) - self._lengths.get(path, 0)) <= KEY_CHARS:
            self.habits.rhythm.key()
        self._lengths[path] = len(content)
        self.generations.edited(path, content)
        self.offers.edited(path, content)

    def closed(self, path: str) -> None:
        """The user is done with a file."""
        self._lengths.pop(path, None)
        self.similar.shown.pop(path, None)
        self.generations.stop(path)
        self.offers.gone(path)

    @contextlib.asynccontextmanager
    async def asking(self, key: str) -> AsyncIterator[None]:
        """Of those that want to know the same, one asks and the others wait for what it finds."""
        lock, waiting = self._locks.get(key, (asyncio.Lock(), 0))
        self._locks[key] = (lock, waiting + 1)
        try:
            async with lock:
                yield
        finally:
            lock, waiting = self._locks.pop(key)
            if waiting > 1:
                self._locks[key] = (lock, waiting - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureContext:
    """One consistent state to answer from. `link_base`: the URI, with a slash at its end, of the workspace folder."""

    index: Index
    resident: Resident
    engine: EngineClient
    workspace: str
    settings: Settings
    model: ModelInfo
    frame: Frame
    memory: Memory
    link_base: str = ""
    learned: Learned = field(default_factory=Learned)
    trust: Trust = UNKNOWN  # in what the model finds


def request_prompt(ctx: FeatureContext, tail: Prompt) -> Prompt:
    """The whole prompt of a request about code: what is resident, the text taken out of it, the request."""
    return (*ctx.resident.head(), *_hole(ctx), *tail)


def without(ctx: FeatureContext, path: str, span: Span) -> FeatureContext:
    """The same as if a part of a file were not there: the model is not shown it, and what is resident stays."""
    text = ctx.index.files[path].text.with_edits([Edit(span, "")])
    index = ctx.index.with_changes(ctx.index.snapshot.with_changes({path: text}))
    return replace(ctx, index=index, resident=ctx.resident.with_index(index, None))


def cursor_place(ctx: FeatureContext, path: str, text: Text, offset: int) -> tuple[Prompt, Place]:
    """What goes between head and completion: a hole elsewhere, and the text around the cursor.

    Where the cursor is in the hole, that is the hole; elsewhere the lines nearby, which then stand in the body too.
    """
    hole = ctx.resident.hole
    if hole and hole.path == path and hole.span.start <= offset <= hole.span.end and hole.text == text:
        return (), place_in(path, text, hole.span, offset)
    return _hole(ctx), place_in(path, text, nearby(text, offset, NEARBY_CHARS), offset)


def place_in(path: str, text: Text, region: Span, offset: int) -> Place:
    """The text of a region, cut at the cursor."""
    return Place(
        path=path,
        before=text.slice(Span(region.start, offset)),
        after=text.slice(Span(offset, region.end)),
    )


def nearby(text: Text, offset: int, chars: int) -> Span:
    """Whole lines around an offset: at most `chars` before it, and half as many after it."""
    start = text.position(max(0, offset - chars))
    first = text.line_span(start.line + (1 if start.column else 0)).start
    last = text.line_span(text.position(min(len(text.content), offset + chars // 2)).line).end
    own = text.line_span(text.position(offset).line).start
    return Span(min(first, own), max(last, offset))


def _hole(ctx: FeatureContext) -> Prompt:
    hole = ctx.resident.hole
    return hole_tail(hole.path, hole.text.slice(hole.span)) if hole else ()
