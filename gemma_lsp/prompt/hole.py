"""The active hole: the region of one file that is being edited and therefore stands in the tail, not in the body."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from gemma_lsp.syntax.types import ParsedFile
from gemma_lsp.syntax.whole import chunk_starts
from gemma_lsp.text import Span, Text

HOLE_CHARS = 2000  # about 700 tokens, read again whenever something before the hole changes; guessed


@dataclass(frozen=True, slots=True, kw_only=True)
class Hole:
    """`span`: whole lines of the current text. What stands outside is not looked at again while the hole is open."""

    path: str
    symbol: str
    span: Span
    text: Text


def open_hole(parsed: ParsedFile, offset: int, chars: int = HOLE_CHARS) -> Hole:
    """The chunk at `offset` with as many neighbours as fit into so many code points."""
    chunks = parsed.chunks
    if not chunks:
        return Hole(path=parsed.path, symbol="", span=Span(0, 0), text=parsed.text)
    at = max(0, bisect_right(chunk_starts(parsed), offset) - 1)
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


def moved_hole(hole: Hole, text: Text, offset: int | None) -> Hole | None:
    """The same hole after an edit inside it; None if the edit or the focus lies outside."""
    old, new = hole.text.content, text.content
    tail = len(old) - hole.span.end
    if len(new) < hole.span.start + tail:
        return None
    head, end = text.shared_with(old)
    same_head = hole.span.start <= head or new.startswith(old[: hole.span.start])
    same_tail = tail <= end or new.endswith(old[len(old) - tail :])
    span = Span(hole.span.start, len(new) - tail)
    focused = offset is None or span.start <= offset <= span.end
    if not (same_head and same_tail and focused):
        return None
    return Hole(path=hole.path, symbol=hole.symbol, span=span, text=text)
