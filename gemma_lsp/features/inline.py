"""Inline completion: what comes next at the cursor, or nothing where that would be noise.

Order of answers: what is left of a suggestion being typed, what is known, the model. Cancel points: every await;
of several requests for one file only the latest asks the model.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass

from gemma_lsp.engine.client import GenerateOptions
from gemma_lsp.engine.messages import Cost, Priority
from gemma_lsp.features.context import FeatureContext, cursor_place, nearby, place_in
from gemma_lsp.features.memory import Remembered
from gemma_lsp.generate.answers import Answer, gather
from gemma_lsp.generate.filters import ALL, Around, Dropped, run_filters, still_parses
from gemma_lsp.generate.presets import COMPLETION
from gemma_lsp.generate.stops import Extent, Shape, cut, shape_for
from gemma_lsp.prompt.tails import completion_tail
from gemma_lsp.syntax.context import CursorContext, cursor_context
from gemma_lsp.syntax.parse import parse
from gemma_lsp.syntax.types import ParsedFile
from gemma_lsp.text import Position, Span, Text

EARLY_CHARS = 1600  # of the active file, given while the repository is not resident yet; guessed
EARLY_OVER = 1500  # tokens; more than that to evaluate takes a small CPU beyond the deadline
_CLOSES = re.compile(r"""[\s)>}\]"'`]*[:{;,]?\s*""")  # the rest of a line in the middle of which one still completes


@dataclass(frozen=True, slots=True, kw_only=True)
class InlineRequest:
    """Where, and whether the user asked for it. `version` is the document's, and comes back unread."""

    path: str
    position: Position
    invoked: bool = False
    version: int | None = None


@dataclass(frozen=True, slots=True)
class InlineItem:
    """Text with absolute indentation, to be put in place of `span`, which is empty at the cursor."""

    text: str
    span: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class InlineAnswer:
    """`reason`: "typed along", "known" or "model" with an item, else why none. `cost` where the model was asked."""

    items: tuple[InlineItem, ...]
    cost: Cost | None
    reason: str
    version: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spot:
    """The cursor with all that was found out about it."""

    request: InlineRequest
    parsed: ParsedFile
    offset: int
    shape: Shape

    @property
    def text(self) -> Text:
        return self.parsed.text

    @property
    def before(self) -> str:
        return self.text.content[: self.offset]

    @property
    def after(self) -> str:
        return self.text.content[self.offset :]


async def inline_completion(ctx: FeatureContext, request: InlineRequest) -> InlineAnswer:
    """At most one item. Raises `EngineError` where the engine fails; asks nothing where there is nothing to say."""
    cache = ctx.memory.completions
    ticket = cache.enter(request.path)
    parsed = ctx.index.files.get(request.path)
    if parsed is None or not ctx.settings.completion.enabled:
        return _nothing(request, "off" if parsed else "not in the index")
    context = cursor_context(parsed, request.position)
    spot = _spot(ctx, request, parsed, context)
    if quiet := _quiet(spot, context):
        return _nothing(request, quiet)
    head = ctx.resident.head()
    rest = cache.typed_along(head, request.path, spot.before, spot.after)
    if rest is not None:
        return _shown(ctx, spot, rest, "typed along")
    key = cache.key(head, request.path, spot.before, spot.after, repr(spot.shape))
    known = cache.get(key)
    if known is not None:
        return _shown(ctx, spot, known.text, "known") if known.text else _nothing(request, known.reason)
    if not request.invoked:
        await asyncio.sleep(ctx.settings.completion.debounce_ms / 1000)
        if not cache.holds(request.path, ticket):
            return _nothing(request, "superseded")
    answer = await _generated(ctx, spot)
    if answer.unwanted:
        return _nothing(request, answer.reason, answer.cost)
    result = _result(answer, spot)
    if result.text or answer.reason != "deadline":  # another time there may be enough of it
        cache.put(key, result)
    if not result.text:
        return _nothing(request, result.reason, answer.cost)
    return _shown(ctx, spot, result.text, "model", answer.cost)


def _spot(ctx: FeatureContext, request: InlineRequest, parsed: ParsedFile, context: CursorContext) -> _Spot:
    offset = parsed.text.offset(request.position)
    multiline = ctx.settings.completion.multiline
    shape = shape_for(parsed.text, context, offset, multiline=multiline, invoked=request.invoked)
    return _Spot(request=request, parsed=parsed, offset=offset, shape=shape)


def _quiet(spot: _Spot, context: CursorContext) -> str:
    """Why nothing should be suggested here unasked, or ""."""
    if spot.request.invoked:
        return ""
    rest = spot.after.partition("\n")[0]
    if not _CLOSES.fullmatch(rest):
        return "in the middle of a line"
    return "in a comment" if context.in_comment and not spot.shape.line_before.rstrip().strip("# ") else ""


async def _generated(ctx: FeatureContext, spot: _Spot) -> Answer:
    """Asks the model; the answer is over as soon as the structure says so."""
    path = spot.request.path
    elsewhere, place = cursor_place(ctx, path, spot.text, spot.offset)
    tail = completion_tail(ctx.frame, place)
    near = place_in(path, spot.text, nearby(spot.text, spot.offset, EARLY_CHARS), spot.offset)
    settings = ctx.settings.completion
    options = GenerateOptions(
        priority=Priority.COMPLETION,
        max_tokens=settings.max_tokens,
        stop=(*spot.shape.stop, *tail.stop),
        sampling=COMPLETION,
        heal=tail.heal,
        deadline_ms=settings.deadline_ms,
        supersedes=f"inline {path}",
        early=(*ctx.frame.head, *completion_tail(ctx.frame, near).segments),
        early_over=EARLY_OVER,
        enough=lambda text: cut(text, spot.shape) is not None,
    )
    prompt = (*ctx.resident.head(), *elsewhere, *tail.segments)
    return await gather(ctx.engine, ctx.workspace, prompt, options)


def _result(answer: Answer, spot: _Spot) -> Remembered:
    """What is worth showing of an answer; a line that a limit cut short is unfinished and need not parse."""
    end = cut(answer.text, spot.shape)
    text = answer.text if end is None else answer.text[:end]
    filters = ALL
    if end is None and answer.reason in ("length", "deadline"):
        text = _whole_part(text, spot.shape)
        if "\n" not in text:
            filters = tuple(accept for accept in ALL if accept is not still_parses)
    around = Around(before=spot.before, after=spot.after, parses=_parses(spot.parsed))
    kept = run_filters(text, around, filters)
    return Remembered("", kept.reason) if isinstance(kept, Dropped) else Remembered(kept, "model")


def _whole_part(text: str, shape: Shape) -> str:
    """What a limit has left whole: of a block the finished lines, of a line the finished words."""
    lines = text.rpartition("\n")[0] if shape.extent is not Extent.LINE else ""
    return lines or re.sub(r"\w+\Z", "", text) or text


def _parses(parsed: ParsedFile) -> Callable[[str], bool]:
    """Whether a text of this file has no syntax error; text of other languages never has."""
    return lambda content: not parse(parsed.path, Text(content)).error_spans


def _shown(ctx: FeatureContext, spot: _Spot, text: str, reason: str, cost: Cost | None = None) -> InlineAnswer:
    ctx.memory.completions.show(ctx.resident.head(), spot.request.path, spot.before, spot.after, text)
    item = InlineItem(text, Span(spot.offset, spot.offset))
    return InlineAnswer(items=(item,), cost=cost, reason=reason, version=spot.request.version)


def _nothing(request: InlineRequest, reason: str, cost: Cost | None = None) -> InlineAnswer:
    return InlineAnswer(items=(), cost=cost, reason=reason, version=request.version)
