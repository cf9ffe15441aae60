"""The code that a completion is shown right before the code at the cursor, because it is like it.

What stands before the cursor must not move: other code, which is more like what one writes by now, takes its place when
nobody waits for it (`prefetch`), or at once where it is read in a moment. Event loop only; the search runs on a thread.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right

from gemma_lsp.features.context import FeatureContext
from gemma_lsp.features.memory import Writing
from gemma_lsp.prompt.completion_tails import Place, fills, hole_tail
from gemma_lsp.prompt.layout import BYTES_PER_TOKEN
from gemma_lsp.prompt.segments import Prompt
from gemma_lsp.syntax.similar import Excerpt, similar_code
from gemma_lsp.syntax.types import ParsedFile
from gemma_lsp.syntax.whole import chunk_starts
from gemma_lsp.text import Span

MOST_S = 2.0  # that it may take to read it: it is read once for a place, and nobody waits longer for a line; guessed
MOMENT_S = 0.25  # within which it is read for whoever waits; guessed

_LINES = (3, 9, 21)  # of the chunk one writes, from which on there is more to go by: looked for again; guessed


async def similar_before(
    ctx: FeatureContext, parsed: ParsedFile, offset: int, place: Place, *, renew: bool | None = None
) -> Prompt:
    """Excerpts of other places, each behind the header of its file; () where there is nothing of the kind.

    They stay until one writes elsewhere. `renew`: whether those that are most like it by now are shown instead; None:
    where they are read in a moment. False is for a place where nobody writes yet, and changes nothing for who does.
    """
    chars, similar = ctx.settings.completion.similar_chars, ctx.memory.similar
    if not _wanted(ctx, parsed):
        return ()
    around = Span(offset - len(place.before), offset + len(place.after))
    here = _writing(parsed, offset, around, chars)
    was, excerpts = similar.shown.get(parsed.path, (None, ()))
    same = was is not None and (was.shown_from, was.chars) == (here.shown_from, chars)
    at_once = _takes(ctx, chars) <= MOMENT_S if renew is None else renew
    if not (same and _stand(ctx, excerpts, parsed.path, around)) or (was != here and at_once):
        found = similar.found.get(here)
        if found is None or not _stand(ctx, found, parsed.path, around):
            found = ()
            if _takes(ctx, chars) <= MOST_S:
                found = await asyncio.to_thread(similar_code, ctx.index, parsed.path, offset, around, chars)
            similar.found.put(here, found)
        excerpts = found
        if renew is not False:
            similar.shown[parsed.path] = (here, found)
    return tuple(segment for excerpt in excerpts for segment in hole_tail(excerpt.path, excerpt.text))


def outdated(ctx: FeatureContext, parsed: ParsedFile, offset: int, place: Place) -> bool:
    """Whether the code that is shown was looked for elsewhere, or before there was as much to go by."""
    was, _ = ctx.memory.similar.shown.get(parsed.path, (None, ()))
    chars, around = ctx.settings.completion.similar_chars, Span(offset - len(place.before), offset)
    return _wanted(ctx, parsed) and was is not None and was != _writing(parsed, offset, around, chars)


def _wanted(ctx: FeatureContext, parsed: ParsedFile) -> bool:
    """Whether completions are shown such code at all."""
    return ctx.settings.completion.similar_chars > 0 and not fills(ctx.frame) and parsed.language == "python"


def _takes(ctx: FeatureContext, chars: int) -> float:
    """Seconds to read so much; as long as it is not known, no time at all."""
    speed = ctx.memory.habits.tokens_per_s
    return chars / BYTES_PER_TOKEN / speed if speed else 0.0


def _writing(parsed: ParsedFile, offset: int, around: Span, chars: int) -> Writing:
    """The place, by the chunk that one writes and roughly how much of it there is."""
    starts = chunk_starts(parsed)
    start = starts[max(0, bisect_right(starts, offset) - 1)] if starts else 0
    written = parsed.text.line_at(offset) - parsed.text.line_at(start)
    return Writing(parsed.path, around.start, start, bisect_right(_LINES, written), chars)


def _stand(ctx: FeatureContext, excerpts: tuple[Excerpt, ...], path: str, around: Span) -> bool:
    """Whether files still say so; the one that one writes in, outside of what is shown of it."""
    return all(_stands(ctx, excerpt, path, around) for excerpt in excerpts)


def _stands(ctx: FeatureContext, excerpt: Excerpt, path: str, around: Span) -> bool:
    """Whether a file still says so; the one that one writes in, outside of what is shown of it."""
    file = ctx.index.files.get(excerpt.path)
    content = file.text.content if file is not None else ""
    if excerpt.path == path:
        return excerpt.text in content[: around.start] or excerpt.text in content[around.end :]
    return excerpt.text in content
