"""One question to the model about one place: its prompt, when it has said enough, and what of it is worth showing.

Deliberately not here: whether to ask at all (`inline`), and who shares an answer (`adoption`). Event loop only.
"""

from __future__ import annotations

import asyncio
import re
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

from gemma_lsp.engine.client import GenerateOptions
from gemma_lsp.engine.messages import Priority
from gemma_lsp.features.context import FeatureContext, cursor_place, nearby, place_in
from gemma_lsp.features.gap import gap_place, gap_room, stands_alone
from gemma_lsp.features.memory import Origin, Outcome, Remembered
from gemma_lsp.features.recall import around
from gemma_lsp.features.similar import outdated, similar_before
from gemma_lsp.generate.answers import Answer, gather
from gemma_lsp.generate.filters import ALL, Around, Dropped, run_filters, still_parses
from gemma_lsp.generate.indentation import certain_beginning
from gemma_lsp.generate.presets import COMPLETION
from gemma_lsp.generate.stops import Extent, Shape, cut, final_cut, shape_for
from gemma_lsp.prompt.completion_tails import CompletionTail, completion_prompt, fills
from gemma_lsp.prompt.layout import estimate
from gemma_lsp.prompt.segments import Prompt
from gemma_lsp.syntax.context import CursorContext, cursor_context
from gemma_lsp.syntax.parse import parse
from gemma_lsp.syntax.pieces import statement_starts
from gemma_lsp.syntax.types import ParsedFile
from gemma_lsp.text import Position, Text

EARLY_CHARS = 1600  # of the active file, given while the repository is not resident yet; guessed
EARLY_OVER = 1500  # tokens; more than that to evaluate takes a small CPU beyond the deadline
AHEAD_MS = 20_000  # for what nobody waits for


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """The cursor with all that was found out about it."""

    path: str
    parsed: ParsedFile
    offset: int
    context: CursorContext
    shape: Shape
    invoked: bool

    @property
    def text(self) -> Text:
        """The file's text."""
        return self.parsed.text

    @property
    def before(self) -> str:
        """The text up to the cursor."""
        return self.text.content[: self.offset]

    @property
    def after(self) -> str:
        """The text from the cursor on."""
        return self.text.content[self.offset :]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """How to ask. `rank`: the first token is the so many best one; `ahead`: nobody waits for it yet."""

    rank: int = 0
    ahead: bool = False
    deadline_ms: int = 0  # 0: as the settings say


def spot_at(ctx: FeatureContext, path: str, position: Position, *, invoked: bool) -> Spot | None:
    """The place with its structure; None where the index does not have the file."""
    parsed = ctx.index.files.get(path)
    if parsed is None:
        return None
    context = cursor_context(parsed, position)
    offset = parsed.text.offset(position)
    multiline = ctx.settings.completion.multiline
    gaps = fills(ctx.frame)
    shape = shape_for(parsed.text, context, offset, multiline=multiline, invoked=invoked, fills=gaps)
    return Spot(path=path, parsed=parsed, offset=offset, context=context, shape=shape, invoked=invoked)


def origin_of(ctx: FeatureContext, spot: Spot) -> Origin:
    """The place as it is remembered."""
    return Origin(path=spot.path, before=spot.before, after=spot.after, files=ctx.index.snapshot.files)


def key_of(ctx: FeatureContext, spot: Spot) -> str:
    """What the first candidate at this place is known by."""
    return ctx.memory.completions.key(ctx.resident.head(), origin_of(ctx, spot), repr(spot.shape))


async def generate(
    ctx: FeatureContext, spot: Spot, ask: Ask = Ask(), on_text: Callable[[str], None] = lambda text: None
) -> Outcome:
    """Asks the model; the answer is over as soon as the structure says so. Raises `EngineError`.

    The first candidate is remembered, also where there is nothing to say, unless it was made without the repository.
    Cancelling the task stops the engine.
    """
    lead = await asyncio.to_thread(certain_beginning, spot.parsed, spot.context, spot.offset)
    alone = stands_alone(ctx.frame, ctx.model)
    # What is prepared has what is shown now before it, which the user may go on with.
    asked = _gap(ctx, spot, lead) if alone else _continued(ctx, spot, lead, renew=False if ask.ahead else None)
    tail, early, early_over = await asked
    settings = ctx.settings.completion
    options = GenerateOptions(
        priority=Priority.AHEAD if ask.ahead else Priority.COMPLETION,
        max_tokens=settings.max_tokens,
        stop=(*spot.shape.stop, *tail.stop),
        sampling=replace(COMPLETION, rank=ask.rank),
        heal=tail.heal,
        deadline_ms=AHEAD_MS if ask.ahead else ask.deadline_ms or settings.deadline_ms,
        # What is prepared may be asked late, after a question of the user's, and must never take its place.
        supersedes=_ahead(ctx, spot.path) if ask.ahead else f"inline {ctx.workspace} {spot.path}",
        early=() if ask.ahead else early,
        early_over=early_over,
        around=around(ctx, spot.parsed, spot.offset, lead),
        alone=alone,
        enough=lambda text: cut(lead + text, spot.shape) is not None,
    )
    habits = ctx.memory.habits
    habits.asked(ahead=ask.ahead)
    if lead:
        on_text(lead)
    with habits.running():
        answer = await gather(ctx.engine, ctx.workspace, tail.segments, options, on_text)
    answer = replace(answer, text=lead + answer.text if answer.text.strip() else "")
    habits.paid(answer.cost, ahead=ask.ahead)
    if answer.unwanted:
        return Outcome(result=Remembered("", answer.reason), cost=answer.cost, unwanted=True)
    in_prose = spot.context.in_string or spot.context.in_comment
    unsure = not spot.invoked and answer.first_chance < habits.least_chance(settings, in_prose=in_prose)
    result = Remembered("", "unsure") if unsure else _result(answer, spot)
    # Another time there may be enough of it, or the repository may say more.
    lasts = not answer.cost.early and (result.text or answer.reason != "deadline")
    if ask.rank == 0 and lasts:
        ctx.memory.completions.put(key_of(ctx, spot), result)
    if result.text:
        ctx.memory.completions.suggested(origin_of(ctx, spot), result.text)
    return Outcome(result=result, cost=answer.cost)


def similar_is_outdated(ctx: FeatureContext, spot: Spot) -> bool:
    """Whether the code that completions are shown was found like another place than this one."""
    _, place = cursor_place(ctx, spot.path, spot.text, spot.offset)
    return outdated(ctx, spot.parsed, spot.offset, place)


async def renew_similar(ctx: FeatureContext, spot: Spot) -> None:
    """Has the code read that is most like this place by now. Raises `EngineError`."""
    tail, _, _ = await _continued(ctx, spot, "", renew=True)
    options = GenerateOptions(priority=Priority.AHEAD, max_tokens=1, supersedes=_ahead(ctx, spot.path))
    await gather(ctx.engine, ctx.workspace, tail.segments, options)


async def _continued(
    ctx: FeatureContext, spot: Spot, lead: str, *, renew: bool | None
) -> tuple[CompletionTail, Prompt, int]:
    """The prompt behind what is resident; the shorter one, and from how many tokens on it is the better one."""
    elsewhere, place = cursor_place(ctx, spot.path, spot.text, spot.offset)
    similar = await similar_before(ctx, spot.parsed, spot.offset, place, renew=renew)
    read = (*ctx.resident.head()[len(ctx.frame.head) :], *elsewhere, *similar)
    spm = ctx.settings.completion.fim_order == "spm"
    tail = completion_prompt(ctx.frame, read, replace(place, before=place.before + lead), suffix_first=spm)
    near = place_in(spot.path, spot.text, nearby(spot.text, spot.offset, EARLY_CHARS), spot.offset)
    near = replace(near, before=near.before + lead)
    # Similar code is given where it is read in time.
    early = completion_prompt(ctx.frame, (), near, suffix_first=spm)
    return tail, early.segments, EARLY_OVER + sum(estimate(similar))


def _ahead(ctx: FeatureContext, path: str) -> str:
    return f"ahead {ctx.workspace} {path}"


async def _gap(ctx: FeatureContext, spot: Spot, lead: str) -> tuple[CompletionTail, Prompt, int]:
    """The gap alone: there is nothing to wait for."""
    room, speed = gap_room(ctx.model), ctx.memory.habits.usual_tokens_per_s
    place = gap_place(spot.path, spot.text, spot.offset, n_room=room, tokens_per_s=speed)
    place, spm = replace(place, before=place.before + lead), ctx.settings.completion.fim_order == "spm"
    return completion_prompt(ctx.frame, (), place, suffix_first=spm), (), 0


def _result(answer: Answer, spot: Spot) -> Remembered:
    """What is worth showing of an answer; a line that a limit cut short is unfinished and need not parse."""
    end = final_cut(answer.text, spot.shape, ended=answer.reason == "eos")
    text = answer.text if end is None else answer.text[:end]
    filters = ALL
    if end is None and answer.reason in ("length", "deadline"):
        text = _whole_part(text, spot.shape)
        if "\n" not in text:
            filters = tuple(accept for accept in ALL if accept is not still_parses)
    around = Around(before=spot.before, after=spot.after, parses=_parses(spot))
    kept = run_filters(text, around, filters)
    return Remembered("", kept.reason) if isinstance(kept, Dropped) else Remembered(kept, "model")


def _whole_part(text: str, shape: Shape) -> str:
    """What a limit has left whole: of a block the finished lines, of a line the finished words."""
    lines = text.rpartition("\n")[0] if shape.extent is not Extent.LINE else ""
    return lines or re.sub(r"\w+\Z", "", text) or text


def _parses(spot: Spot) -> Callable[[str], bool]:
    """Whether a text of this file has no syntax error around the cursor; text of other languages never has.

    Only the statement around it and its neighbours are read: a whole file of 5,000 lines takes a quarter of a second.
    """
    content = spot.text.content
    starts = statement_starts(content) if spot.parsed.language == "python" else [0, len(content)]
    at = bisect_right(starts, spot.offset) - 1
    first, last = starts[max(0, at - 1)], starts[min(len(starts) - 1, at + 2)]
    behind = len(content) - last
    # Several filters ask of the same text.
    return cache(lambda whole: not parse(spot.path, Text(whole[first : len(whole) - behind])).error_spans)
