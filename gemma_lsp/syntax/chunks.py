"""Cuts a file into chunks: runs of whole lines that tile it exactly. Pure; never fails, whatever the text.

The cuts follow the symbols, so that an edit inside one function leaves every other chunk's text as it was.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import NamedTuple

from gemma_lsp.syntax.grammar import statement_lines_of
from gemma_lsp.syntax.types import Chunk, ChunkKind, Symbol, SymbolKind
from gemma_lsp.text import Span, Text

LONG_CHUNK = 6_000
"""Code points above which a chunk is split (guessed: some 2,000 tokens, what an edit in it would cost)."""

PROSE_CHUNK = 1_500
"""Code points that a chunk of prose is filled up to (guessed)."""

_FILLED = re.compile(r"\S")


class _Cut(NamedTuple):
    """A new chunk begins at this line. Of several at one line the last in order counts: what begins there counts more
    than what ends, and the outermost end more than inner ones.
    """

    line: int
    begins: bool
    depth: int  # of what ends, negative: -1 in a class of the module
    kind: ChunkKind
    symbol: str


_ORDER = itemgetter(0, 1, 2)
_HEAD = _Cut(0, False, 0, ChunkKind.HEAD, "")


def python_runs(text: Text, symbols: Sequence[Symbol]) -> tuple[Chunk, ...]:
    """The chunks of a Python file or of a piece of one, however long. What stands first is a head, or a definition."""
    cuts = _without_blank_runs(text, sorted(_definition_cuts(text, symbols), key=_ORDER))
    runs = ((cut, _lines_span(text, cut.line, end)) for cut, end in _until_next(text, cuts))
    return tuple(Chunk(kind=cut.kind, symbol=cut.symbol, span=span) for cut, span in runs if len(span))


StatementLines = Callable[[Span], Mapping[int, int]]
"""Of some lines of a text those on which a statement begins, counted from the first, with its column in bytes."""


def split_long(text: Text, chunks: Iterable[Chunk], lines_of: StatementLines | None = None) -> Iterator[Chunk]:
    """The chunks, long ones cut before statements: as `lines_of` says, or else the chunk is parsed for them."""
    for chunk in chunks:
        if len(chunk.span) <= LONG_CHUNK:
            yield chunk
            continue
        content, start = text.slice(chunk.span), chunk.span.start
        for end in long_cuts(content) if lines_of is None else _cuts(content, lines_of(chunk.span)):
            yield Chunk(kind=chunk.kind, symbol=chunk.symbol, span=Span(start, chunk.span.start + end))
            start = chunk.span.start + end


def prose_chunks(text: Text) -> tuple[Chunk, ...]:
    """The chunks of anything else: at headings and blank lines, `PROSE_CHUNK` code points at most where it can."""
    starts, n_lines = [0], _n_lines(text)
    for line in range(1, n_lines):
        filled = text.line_starts[line] - text.line_starts[starts[-1]]
        next_length = _paragraph_length(text, line, n_lines)
        after_blank = not text.line(line - 1).strip()
        full = filled + next_length > PROSE_CHUNK
        heading = filled > PROSE_CHUNK // 4 and _is_heading(text, line)
        if (after_blank and full) or heading or filled > 2 * PROSE_CHUNK:
            starts.append(line)
    ends = [*starts[1:], n_lines]
    spans = [_lines_span(text, start, end) for start, end in zip(starts, ends, strict=True)]
    return tuple(Chunk(kind=ChunkKind.PROSE, symbol="", span=span) for span in spans if len(span))


def _definition_cuts(text: Text, symbols: Sequence[Symbol]) -> Iterator[_Cut]:
    """Where a definition of the module or of a class begins, and where it ends."""
    yield _HEAD
    lines = text.line_starts
    classes: dict[str, _Class] = {}
    floor, before_end = 0, 0
    for symbol in symbols:
        name, kind, places = symbol.qualified, symbol.kind, symbol.places
        around = name.rpartition(".")[0]
        scope = classes.get(around)
        if kind is SymbolKind.VARIABLE or (around and (scope is None or not scope.start <= places[0] < scope.end)):
            continue
        start = bisect_right(lines, places[0]) - 1
        column = places[0] - lines[start]
        if column != (scope.column if scope else 0) or (column and text.content[lines[start] : places[0]].strip()):
            continue
        end = bisect_right(lines, places[1])
        floor = before_end if before_end <= start else floor
        yield _Cut(_comments_above(text, start, floor), True, -name.count(".") - 1, _kind(symbol), name)
        depth = -around.count(".") - 1 if around else 0
        yield _Cut(_filled_line(text, end), False, depth, ChunkKind.STATEMENTS, around)
        if kind is SymbolKind.CLASS:
            classes[name] = _Class(places[0], places[1], _column(text, places[6]))
        floor, before_end = start + 1, end


class _Class(NamedTuple):
    """A class that is cut itself: where it stands, and the column of its members."""

    start: int
    end: int
    column: int


def _column(text: Text, offset: int) -> int:
    return offset - text.content.rfind("\n", 0, offset) - 1


def _kind(symbol: Symbol) -> ChunkKind:
    if symbol.kind is SymbolKind.CLASS:
        return ChunkKind.CLASS_HEAD
    return ChunkKind.METHOD if symbol.kind is SymbolKind.METHOD else ChunkKind.FUNCTION


def _comments_above(text: Text, line: int, floor: int) -> int:
    """The first of the comment lines that stand directly above a line, at its own indentation, down from `floor`."""
    content, starts = text.content, text.line_starts
    if line <= floor or "#" not in content[starts[line - 1] : starts[line]]:
        return line
    indent = _indent(text.line(line))
    while line > floor:
        above = text.line(line - 1)
        if not above.lstrip().startswith("#") or _indent(above) != indent:
            break
        line -= 1
    return line


def _filled_line(text: Text, line: int) -> int:
    """The first line from `line` on that is not blank: blank ones stay with what stands before them."""
    if line >= text.n_lines:
        return line
    match = _FILLED.search(text.content, text.line_starts[line])
    return text.line_at(match.start()) if match else text.n_lines


def _without_blank_runs(text: Text, cuts: list[_Cut]) -> list[_Cut]:
    """Cuts with one a line at most; what would hold blank lines alone stays with the chunk before it."""
    kept: list[_Cut] = []
    content, starts, n_lines = text.content, [*text.line_starts, len(text.content)], _n_lines(text)
    ends = [cut.line for cut in cuts[1:]]
    for cut, end in zip(cuts, [*ends, n_lines], strict=True):
        if cut.line >= min(n_lines, end):
            continue
        if kept and content[starts[cut.line] : starts[end]].isspace():
            continue
        kept.append(cut)
    return kept or [_HEAD]


def _until_next(text: Text, cuts: list[_Cut]) -> Iterator[tuple[_Cut, int]]:
    first = _Cut(0, False, 0, cuts[0].kind, cuts[0].symbol)  # leading blank lines go with the first chunk
    starts = [first, *cuts[1:]]
    for at, cut in enumerate(starts):
        yield cut, starts[at + 1].line if at + 1 < len(starts) else _n_lines(text)


@lru_cache(maxsize=16)
def long_cuts(content: str) -> tuple[int, ...]:
    """Where the pieces of a long chunk end. It is parsed once more: trees are not kept."""
    return _cuts(content, statement_lines_of(content))


def _cuts(content: str, columns: Mapping[int, int]) -> tuple[int, ...]:
    text = Text(content)
    ends, start, n_lines = [], 0, _n_lines(text)
    while len(_lines_span(text, start, n_lines)) > LONG_CHUNK:
        stop = _best_stop(text, start, n_lines, columns)
        if stop == n_lines:
            break
        ends.append(text.line_starts[stop])
        start = stop
    return (*ends, len(content))


def _best_stop(text: Text, start: int, end: int, columns: Mapping[int, int]) -> int:
    """Where the piece that begins at `start` ends: before the outermost statement that leaves it well filled."""
    limit = text.line_starts[start] + LONG_CHUNK
    last = min(end, max(start + 1, bisect_right(text.line_starts, limit) - 1))
    filled = bisect_left(text.line_starts, limit - LONG_CHUNK // 2)
    candidates = [line for line in range(max(start + 1, filled), last + 1) if line in columns]
    candidates = candidates or [line for line in range(start + 1, last + 1) if line in columns]
    return min(candidates, key=lambda line: (columns[line], -line), default=last)


def _lines_span(text: Text, start: int, end: int) -> Span:
    stop = text.line_starts[end] if end < text.n_lines else len(text.content)
    return Span(text.line_starts[start], stop)


def _n_lines(text: Text) -> int:
    """Lines that hold something: the empty one after a last line end is none."""
    return text.n_lines - (1 if text.line_starts[-1] == len(text.content) and text.n_lines > 1 else 0)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _paragraph_length(text: Text, line: int, n_lines: int) -> int:
    start = text.line_starts[line]
    while line < n_lines and text.line(line).strip():
        line += 1
        if text.line_span(line).start - start > PROSE_CHUNK:
            break
    return text.line_span(line).start - start


def _is_heading(text: Text, line: int) -> bool:
    """A heading of Markdown or TOML, or an underlined one."""
    own = text.line(line)
    underline = text.line(line + 1)
    underlined = bool(own.strip()) and re.fullmatch(r"(={3,}|-{3,})\s*", underline) is not None
    return underlined or re.match(r"#{1,6} |\[[^\]]+\]\s*$", own) is not None
