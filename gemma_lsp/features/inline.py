"""Inline completion: what comes next at the cursor, or nothing where that would be noise.

Order of answers: what is left of a suggestion being typed, what is known, a run that fits, the model. Cancel points:
every await; of several requests for one file only the latest asks the model, and cancelling one leaves the run to the
next for a moment (`adoption`).
"""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass
from functools import partial

from gemma_lsp.engine.messages import Cost
from gemma_lsp.features.context import FeatureContext
from gemma_lsp.features.generation import Ask, Spot, generate, key_of, origin_of, spot_at
from gemma_lsp.features.memory import Outcome
from gemma_lsp.features.prefetch import prefetch
from gemma_lsp.generate.answers import sum_costs
from gemma_lsp.text import Position, Span

_CLOSES = re.compile(r"""[\s)>}\]"'`]*[:{;,]?\s*""")  # the rest of a line in the middle of which one still completes
_SENTENCE = re.compile(r"\w[,;:]? +[\w'-]+[.!?]\s*\Z")  # two words at least: a path or a name is none
TYPED_ALONG, KNOWN, MODEL = "typed along", "known", "model"


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
    """`reason`: "typed along", "known" or "model" with items, the best first, else why none.

    `cost` where the model was asked, by this request or by one whose run it adopted.
    """

    items: tuple[InlineItem, ...]
    cost: Cost | None
    reason: str
    version: int | None = None


async def inline_completion(ctx: FeatureContext, request: InlineRequest) -> InlineAnswer:
    """At most one item, or several to choose from where the user asked. Raises `EngineError` where the engine fails."""
    ticket = ctx.memory.completions.enter(request.path)
    spot = spot_at(ctx, request.path, request.position, invoked=request.invoked)
    if spot is None or not ctx.settings.completion.enabled:
        return _nothing(request, "off" if spot else "not in the index")
    started = time.monotonic()
    answer = await _first(ctx, spot, request, ticket)
    if request.invoked and answer.reason != "superseded":
        answer = await _with_alternatives(ctx, spot, answer, started)
    ctx.memory.habits.tally.answers[answer.reason] += 1
    if answer.items:
        ctx.memory.offers.show(origin_of(ctx, spot), [item.text for item in answer.items])
    elif answer.reason != "superseded":
        ctx.memory.offers.gone(spot.path)
    return answer


async def _first(ctx: FeatureContext, spot: Spot, request: InlineRequest, ticket: int) -> InlineAnswer:
    """The best candidate, by the cheapest way."""
    cache, runs, origin = ctx.memory.completions, ctx.memory.generations, origin_of(ctx, spot)
    rest = cache.typed_along(origin)
    if rest is not None:
        return _shown(request, spot, rest, TYPED_ALONG)
    if quiet := _quiet(spot):
        return _nothing(request, quiet)
    key = key_of(ctx, spot)
    if (known := cache.get(key)) is not None:
        return _new(ctx, request, spot, known.text, KNOWN) if known.text else _nothing(request, known.reason)
    adopted = runs.adopt(origin) if not request.invoked else None
    if adopted is not None:
        run, typed = adopted
        outcome = await run.outcome(typed)
        if outcome is not None and _fits(outcome, typed):
            return _new(ctx, request, spot, outcome.result.text[len(typed) :], MODEL, run.claim())
    if not request.invoked:
        await asyncio.sleep(ctx.memory.habits.pause_s(ctx.settings.completion))
        if not cache.holds(request.path, ticket):
            return _nothing(request, "superseded")
    if (known := cache.get(key)) is not None:  # it was being prepared meanwhile
        return _new(ctx, request, spot, known.text, KNOWN) if known.text else _nothing(request, known.reason)
    run = runs.start(origin, partial(generate, ctx, spot, Ask()))
    outcome = await run.outcome("")
    if outcome is None or outcome.unwanted:
        return _nothing(request, outcome.result.reason if outcome else "superseded", run.claim())
    if not outcome.result.text:
        if not outcome.cost.early:
            prefetch(ctx, spot, "")
        return _nothing(request, outcome.result.reason, run.claim())
    return _new(ctx, request, spot, outcome.result.text, MODEL, run.claim())


def _fits(outcome: Outcome, typed: str) -> bool:
    """Whether what is worth showing of an adopted run starts with what was typed, and goes on."""
    text = outcome.result.text
    return not outcome.unwanted and text.startswith(typed) and text != typed


async def _with_alternatives(ctx: FeatureContext, spot: Spot, first: InlineAnswer, started: float) -> InlineAnswer:
    """Further candidates, each from another first token; what is evaluated before the cursor serves them all."""
    settings = ctx.settings.completion
    items, cost = list(first.items), first.cost
    for rank in range(1, settings.candidates):
        left = settings.deadline_ms - int((time.monotonic() - started) * 1000)
        if left <= 0:
            break
        work = partial(generate, ctx, spot, Ask(rank=rank, deadline_ms=left))
        outcome = await ctx.memory.generations.start(origin_of(ctx, spot), work).outcome("")
        if outcome is None or outcome.unwanted:
            break
        cost = sum_costs(cost, outcome.cost) if cost else outcome.cost
        text = outcome.result.text
        if text and text not in [item.text for item in items]:
            items.append(InlineItem(text, Span(spot.offset, spot.offset)))
    if first.items:
        ctx.memory.completions.suggested(origin_of(ctx, spot), first.items[0].text)  # typing along prefers the best
    reason = first.reason if first.items or not items else MODEL
    return InlineAnswer(items=tuple(items), cost=cost, reason=reason, version=first.version)


def _quiet(spot: Spot) -> str:
    """Why nothing should be suggested here unasked, or ""."""
    if spot.invoked:
        return ""
    rest = spot.after.partition("\n")[0]
    if not _CLOSES.fullmatch(rest):
        return "in the middle of a line"
    line = spot.shape.line_before
    if spot.context.in_comment and not line.rstrip().strip("# "):
        return "in a comment"
    in_prose = spot.context.in_comment or spot.context.in_string
    return "at the end of a sentence" if in_prose and _SENTENCE.search(line) else ""


def _new(
    ctx: FeatureContext, request: InlineRequest, spot: Spot, text: str, reason: str, cost: Cost | None = None
) -> InlineAnswer:
    """A suggestion that was not shown before: it is remembered for typing along, and its acceptance prepared for."""
    ctx.memory.completions.suggested(origin_of(ctx, spot), text)
    if not (cost and cost.early):
        prefetch(ctx, spot, text)
    return _shown(request, spot, text, reason, cost)


def _shown(request: InlineRequest, spot: Spot, text: str, reason: str, cost: Cost | None = None) -> InlineAnswer:
    item = InlineItem(text, Span(spot.offset, spot.offset))
    return InlineAnswer(items=(item,), cost=cost, reason=reason, version=request.version)


def _nothing(request: InlineRequest, reason: str, cost: Cost | None = None) -> InlineAnswer:
    return InlineAnswer(items=(), cost=cost, reason=reason, version=request.version)
