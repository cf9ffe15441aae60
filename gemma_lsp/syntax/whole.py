"""A file's facts out of those of its pieces. Immutable; any thread.

Objects with places in the file are made when they are asked for: a keystroke moves all behind it, and asks for little.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from operator import attrgetter, sub
from typing import Generic, TypeVar, overload

from gemma_lsp.syntax.chunks import LONG_CHUNK, long_cuts, split_long
from gemma_lsp.syntax.facts import Facts, moved, moved_import, moved_symbol
from gemma_lsp.syntax.references import References
from gemma_lsp.syntax.types import Chunk, ChunkKind, ParsedFile, Symbol, SymbolKind
from gemma_lsp.text import Span, Text

T = TypeVar("T")
_LENGTH, _REFERENCES = attrgetter("length"), attrgetter("references")
_Edges = tuple[list[int], list[tuple[ChunkKind, str]]]
_HEAD, _STATEMENTS = ChunkKind.HEAD, ChunkKind.STATEMENTS


def file_of(path: str, text: Text, pieces: Sequence[Facts], before: ParsedFile | None = None) -> ParsedFile:
    """The file that consists of these pieces; `before` is one that shares many of them."""
    first = pieces[0]
    if len(pieces) == 1:
        return ParsedFile(
            path=path,
            text=text,
            language="python",
            chunks=tuple(split_long(text, first.runs)),
            symbols=first.symbols,
            references=References(text, (0,), (first.references,)),
            imports=first.imports,
            docstring=first.docstring,
            error_spans=first.errors,
        )
    starts = list(accumulate(map(_LENGTH, pieces), initial=0))
    placed = _Placed(starts, pieces)
    return ParsedFile(
        path=path,
        text=text,
        language="python",
        chunks=Chunks(text, placed, before.chunks if before is not None else None),
        symbols=Made(lambda: _symbols(placed)),
        references=References(text, starts, map(_REFERENCES, pieces)),
        imports=Made(lambda: (moved_import(found, at) for at, piece in placed for found in piece.imports)),
        docstring=first.docstring,
        error_spans=Made(lambda: (moved(span, at) for at, piece in placed for span in piece.errors)),
    )


@dataclass(frozen=True, slots=True)
class _Placed:
    """Pieces and where they begin; pairs of them are made when they are asked for."""

    starts: list[int]
    pieces: Sequence[Facts]

    def __iter__(self) -> Iterator[tuple[int, Facts]]:
        return zip(self.starts, self.pieces, strict=False)


class Made(Sequence[T], Generic[T]):
    """A sequence whose items are made when the first of them is asked for."""

    def __init__(self, make: Callable[[], Iterable[T]]) -> None:
        self._make = make

    @cached_property
    def _made(self) -> tuple[T, ...]:
        return tuple(self._make())

    def __len__(self) -> int:
        return len(self._made)

    @overload
    def __getitem__(self, at: int) -> T: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[T, ...]: ...
    def __getitem__(self, at: int | slice) -> T | tuple[T, ...]:
        return self._made[at]

    def __iter__(self) -> Iterator[T]:
        return iter(self._made)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._made == tuple(other)

    def __hash__(self) -> int:
        return hash(self._made)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)})"


class Chunks(Made[Chunk]):
    """The chunks of a file in pieces. One of them alone is made without the others."""

    def __init__(self, text: Text, placed: _Placed, before: Sequence[Chunk] | None) -> None:
        super().__init__(tuple)  # a function of this object would keep it from being let go when nobody needs it
        self._text, self._placed = text, placed
        self._before: Chunks | None = None  # the last ones before these whose places are known
        if isinstance(before, Chunks):
            self._before = before if "_runs" in before.__dict__ else before._before

    @cached_property
    def _made(self) -> tuple[Chunk, ...]:
        return tuple(map(self._chunk, range(len(self.starts))))

    @cached_property
    def _runs(self) -> _Edges:
        """Where chunks begin before long ones are cut, and what they are. What goes on from piece to piece is one."""
        before, self._before = self._before, None
        placed = self._placed
        if before is None:
            return _joined_runs(placed, 0, len(placed.pieces), [], [])
        return _moved_runs(before._placed, before._runs, placed)

    @cached_property
    def _edges(self) -> _Edges:
        """The same for the chunks as they are."""
        starts, kinds = self._runs
        ends = [*starts[1:], len(self._text.content)]
        if max(map(sub, ends, starts), default=0) <= LONG_CHUNK:
            return starts, kinds
        cut = [_cut(self._text, start, end) for start, end in zip(starts, ends, strict=True)]
        every = [kind for kind, parts in zip(kinds, cut, strict=True) for _ in parts]
        return [start for parts in cut for start in parts], every

    @property
    def starts(self) -> list[int]:
        """Where each chunk begins: they tile the file."""
        return self._edges[0]

    def __len__(self) -> int:
        return len(self.starts)

    @overload
    def __getitem__(self, at: int) -> Chunk: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Chunk, ...]: ...
    def __getitem__(self, at: int | slice) -> Chunk | tuple[Chunk, ...]:
        return self._made[at] if isinstance(at, slice) else self._chunk(at)

    def _chunk(self, at: int) -> Chunk:
        starts, kinds = self._edges
        at = at if at >= 0 else at + len(starts)
        kind, symbol = kinds[at]
        end = starts[at + 1] if at + 1 < len(starts) else len(self._text.content)
        return Chunk(kind=kind, symbol=symbol, span=Span(starts[at], end))


def chunk_starts(parsed: ParsedFile) -> list[int]:
    """Where each chunk of a file begins."""
    chunks = parsed.chunks
    return chunks.starts if isinstance(chunks, Chunks) else [chunk.span.start for chunk in chunks]


def _joined_runs(
    placed: _Placed, first: int, stop: int, starts: list[int], kinds: list[tuple[ChunkKind, str]]
) -> _Edges:
    """Adds the runs of some pieces to those of the pieces before them."""
    for at, piece in zip(placed.starts[first:stop], placed.pieces[first:stop], strict=False):
        for run in piece.runs:
            kind = run.kind
            if kind is _HEAD and kinds:
                kind, (last, scope) = _STATEMENTS, kinds[-1]
                if not scope and (last is _HEAD or last is _STATEMENTS):
                    continue
            starts.append(at + run.span.start)
            kinds.append((kind, run.symbol))
    return starts, kinds


def _moved_runs(old: _Placed, edges: _Edges, new: _Placed) -> _Edges:
    """The runs of a file that shares its first and last pieces with one whose runs are known."""
    n = min(len(old.pieces), len(new.pieces))
    pairs = zip(old.pieces, new.pieces, strict=False)
    first = next((at for at, (a, b) in enumerate(pairs) if a is not b), n)
    pairs = zip(reversed(old.pieces[first:]), reversed(new.pieces[first:]), strict=False)
    behind = next((at for at, (a, b) in enumerate(pairs) if a is not b), n - first)
    starts, kinds = edges
    head = bisect_left(starts, old.starts[first])
    stop, by = len(new.pieces) - behind, new.starts[-1] - old.starts[-1]
    known = bisect_left(starts, old.starts[len(old.pieces) - behind])
    found, what = _joined_runs(new, first, stop, starts[:head], kinds[:head])
    while stop < len(new.pieces):  # whether a run goes on from the piece before it is soon decided
        found, what = _joined_runs(new, stop, stop + 1, found, what)
        stop += 1
        known = bisect_left(starts, found[-1] - by, known) if found else known
        if known < len(starts) and found[-1] == starts[known] + by >= new.starts[stop - 1] and what[-1] == kinds[known]:
            return [*found, *map(by.__add__, starts[known + 1 :])], [*what, *kinds[known + 1 :]]
    return found, what


def _cut(text: Text, start: int, end: int) -> list[int]:
    """Where the parts of a chunk begin that may be too long."""
    if end - start <= LONG_CHUNK:
        return [start]
    return [start, *(start + cut for cut in long_cuts(text.content[start:end])[:-1])]


def _symbols(placed: _Placed) -> Iterator[Symbol]:
    """Of variables with the same qualified name the first counts."""
    seen: set[str] = set()
    for at, piece in placed:
        for symbol in piece.symbols:
            if symbol.kind is SymbolKind.VARIABLE:
                if symbol.qualified in seen:
                    continue
                seen.add(symbol.qualified)
            yield moved_symbol(symbol, at)
