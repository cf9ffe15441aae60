"""The code that a completion is shown right before the code at the cursor, because it is like it.

It is looked for once for a place and stays while one types there: what stands before the cursor must not move. Event
loop only; the search itself runs on a thread.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right

from gemma_lsp.features.context import FeatureContext
from gemma_lsp.prompt.completion_tails import Place, fills, hole_tail
from gemma_lsp.prompt.layout import BYTES_PER_TOKEN
from gemma_lsp.prompt.segments import Prompt
from gemma_lsp.syntax.similar import Excerpt, similar_code
from gemma_lsp.syntax.types import ParsedFile
from gemma_lsp.syntax.whole import chunk_starts
from gemma_lsp.text import Span

MOST_S = 2.0  # that it may take to read it: it is read once for a place, and nobody waits longer for a line; guessed

_LINES = (3, 9, 21)  # of the chunk one writes, from which on there is more to go by: looked for again; guessed


async def similar_before(ctx: FeatureContext, parsed: ParsedFile, offset: int, place: Place) -> Prompt:
    """Excerpts of other places, each behind the header of its file; () where there is nothing of the kind."""
    chars = ctx.settings.completion.similar_chars
    if not chars or fills(ctx.frame) or parsed.language != "python":
        return ()
    shown = Span(offset - len(place.before), offset + len(place.after))
    key = _key(parsed, offset, shown)
    found = ctx.memory.similar.get(key)
    if found is None or not all(_stands(ctx, excerpt, parsed.path, shown) for excerpt in found):
        found = ()
        if not _takes_long(ctx, chars):
            found = await asyncio.to_thread(similar_code, ctx.index, parsed.path, offset, shown, chars)
        ctx.memory.similar.put(key, found)
    return tuple(segment for excerpt in found for segment in hole_tail(excerpt.path, excerpt.text))


def _takes_long(ctx: FeatureContext, chars: int) -> bool:
    speed = ctx.memory.habits.tokens_per_s
    return speed is not None and chars / BYTES_PER_TOKEN > MOST_S * speed


def _key(parsed: ParsedFile, offset: int, shown: Span) -> tuple[str, int, int, int]:
    """The place, by the chunk that one writes and roughly how much of it there is."""
    starts = chunk_starts(parsed)
    start = starts[max(0, bisect_right(starts, offset) - 1)] if starts else 0
    written = parsed.text.line_at(offset) - parsed.text.line_at(start)
    return parsed.path, shown.start, start, bisect_right(_LINES, written)


def _stands(ctx: FeatureContext, excerpt: Excerpt, path: str, shown: Span) -> bool:
    """Whether a file still says so; the one that one writes in, outside of what is shown of it."""
    file = ctx.index.files.get(excerpt.path)
    content = file.text.content if file is not None else ""
    if excerpt.path == path:
        return excerpt.text in content[: shown.start] or excerpt.text in content[shown.end :]
    return excerpt.text in content
