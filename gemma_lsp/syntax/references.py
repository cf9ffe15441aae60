"""The uses of names in one file, kept as arrays: a `Reference` object is made when it is asked for.

A megabyte of Python has 40,000 names; as objects they would cost more than parsing it.
Immutable; any thread may read it.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from sys import intern
from typing import overload

from gemma_lsp.syntax.types import Reference
from gemma_lsp.text import Span, Text


@dataclass(frozen=True, slots=True)
class Places:
    """Where names are used in one piece of text: code points, and whether each is a call."""

    starts: array[int]
    ends: array[int]
    calls: bytes

    def moved(self, by: int, first: int = 0) -> Places:
        """The same places further on or back, from the one numbered `first` on."""
        starts, ends = (array("I", [at + by for at in places[first:]]) for places in (self.starts, self.ends))
        return Places(starts, ends, self.calls[first:])


class References(Sequence[Reference]):
    """A sequence of `Reference` in source order over one text, out of pieces that begin at the given offsets."""

    def __init__(self, text: Text, starts: Sequence[int], pieces: Iterable[Places]) -> None:
        self._text, self._starts, self._each = text, starts, pieces

    @cached_property
    def _pieces(self) -> tuple[tuple[int, Places], ...]:
        return tuple(zip(self._starts, self._each, strict=False))

    @cached_property
    def _places(self) -> Places:
        if len(self._pieces) == 1 and not self._pieces[0][0]:
            return self._pieces[0][1]
        starts, ends = array("I"), array("I")
        for by, piece in self._pieces:
            starts.extend([at + by for at in piece.starts])
            ends.extend([at + by for at in piece.ends])
        return Places(starts, ends, b"".join(piece.calls for _, piece in self._pieces))

    @property
    def names(self) -> list[str]:
        """The name of each reference, in order."""
        content, places = self._text.content, self._places
        return [content[start:end] for start, end in zip(places.starts, places.ends, strict=True)]

    @cached_property
    def counts(self) -> Counter[str]:
        """How often each name is used."""
        return Counter(map(intern, self.names))

    def named(self, name: str) -> Iterator[Reference]:
        """The uses of one name, in order."""
        if name in self.counts:
            for at, candidate in enumerate(self.names):
                if candidate == name:
                    yield self[at]

    def __len__(self) -> int:
        return sum(len(piece.starts) for _, piece in self._pieces)

    @overload
    def __getitem__(self, at: int) -> Reference: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Reference, ...]: ...
    def __getitem__(self, at: int | slice) -> Reference | tuple[Reference, ...]:
        if isinstance(at, slice):
            return tuple(self[index] for index in range(*at.indices(len(self))))
        start, end = self._places.starts[at], self._places.ends[at]
        return Reference(self._text.content[start:end], Span(start, end), bool(self._places.calls[at]))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, References):
            return isinstance(other, Sequence) and tuple(self) == tuple(other)
        return self._places == other._places and self.names == other.names

    def __hash__(self) -> int:
        return hash((bytes(self._places.starts), self._places.calls))

    def __repr__(self) -> str:
        return f"References({len(self)})"


def names_and_counts(references: Sequence[Reference]) -> Counter[str]:
    """How often each name is used, whichever kind of sequence holds the references."""
    if isinstance(references, References):
        return references.counts
    return Counter(reference.name for reference in references)
