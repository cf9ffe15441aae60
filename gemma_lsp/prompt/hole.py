"""The active hole: the region of one file that is being edited and therefore stands in the tail, not in the body."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace

from gemma_lsp.syntax.types import ParsedFile
from gemma_lsp.syntax.whole import chunk_starts
from gemma_lsp.text import Span, Text

HOLE_CHARS = 2000  # about 700 tokens, read again whenever something before the hole changes; guessed
MOST = 2  # times as many it may grow to, and a single chunk may have


@dataclass(frozen=True, slots=True, kw_only=True)
class Hole:
    """`span`: whole lines of the current text. What stands outside is not looked at again while the hole is open."""

    path: str
    symbol: str
    span: Span
    text: Text


def open_hole(parsed: ParsedFile, offset: int, chars: int = HOLE_CHARS) -> Hole:
    """The chunk at `offset` with as many neighbours as fit into so many code points; of a very long one the lines
    around `offset`.
    """
    chunks = parsed.chunks
    if not chunks:
        return Hole(path=parsed.path, symbol="", span=Span(0, 0), text=parsed.text)
    at = max(0, bisect_right(chunk_starts(parsed), offset) - 1)
    if len(chunks[at].span) > MOST * chars:
        span = _lines_around(parsed.text, chunks[at].span, offset, chars)
        return Hole(path=parsed.path, symbol=chunks[at].symbol, span=span, text=parsed.text)
    first = last = at
    room = chars - len(chunks[at].span)
    grown = True
    while grown:
        grown = False
        if first > 0 and len(chunks[first - 1].span) <= room // 2:
            first, grown = first - 1, True
            room -= len(chunks[first].span)
        if last + 1 < len(chunks) and len(chunks[last + 1].span) <= room:
            last, grown = last + 1, True
            room -= len(chunks[last].span)
    return Hole(
        path=parsed.path,
        symbol=chunks[at].symbol,
        span=Span(chunks[first].span.start, chunks[last].span.end),
        text=parsed.text,
    )


def moved_hole(hole: Hole, text: Text, offset: int | None, chars: int = HOLE_CHARS) -> Hole | None:
    """The same hole after an edit inside it; None if the edit or the focus lies outside, or it has grown too long."""
    old, new = hole.text.content, text.content
    tail = len(old) - hole.span.end
    if len(new) < hole.span.start + tail:
        return None
    head, end = text.shared_with(old)
    same_head = hole.span.start <= head or new.startswith(old[: hole.span.start])
    same_tail = tail <= end or new.endswith(old[len(old) - tail :])
    span = Span(hole.span.start, len(new) - tail)
    focused = offset is None or span.start <= offset <= span.end
    too_long = len(span) > max(MOST * chars, len(hole.span))
    if too_long or not (same_head and same_tail and focused):
        return None
    return replace(hole, span=span, text=text)


def _lines_around(text: Text, span: Span, offset: int, chars: int) -> Span:
    """Whole lines of a span: that of an offset, and on either side as many as fit into half of so many code points."""
    offset = min(max(offset, span.start), span.end - 1)
    first = last = text.line_at(offset)
    while text.line_starts[first] > span.start and offset - text.line_starts[first - 1] <= chars // 2:
        first -= 1
    while text.line_span(last).end + 1 < span.end and text.line_span(last + 1).end - offset <= chars // 2:
        last += 1
    return Span(text.line_starts[first], min(text.line_span(last).end + 1, span.end))
