"""The uses of names in one file, kept as arrays: a `Reference` object is made when it is asked for.

A megabyte of Python has 40,000 names; as objects they would cost more than parsing it.
Immutable; any thread may read it.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import overload

from gemma_lsp.syntax.types import Reference
from gemma_lsp.text import Span, Text


class References(Sequence[Reference]):
    """A sequence of `Reference` in source order over one text. Starts and ends are code points."""

    def __init__(self, text: Text, starts: array[int], ends: array[int], calls: bytes) -> None:
        self._text = text
        self._starts = starts
        self._ends = ends
        self._calls = calls

    @cached_property
    def names(self) -> list[str]:
        """The name of each reference, in order."""
        content = self._text.content
        return [content[start:end] for start, end in zip(self._starts, self._ends, strict=True)]

    @cached_property
    def counts(self) -> Counter[str]:
        """How often each name is used."""
        return Counter(self.names)

    def named(self, name: str) -> Iterator[Reference]:
        """The uses of one name, in order."""
        if name in self.counts:
            for at, candidate in enumerate(self.names):
                if candidate == name:
                    yield self[at]

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, at: int) -> Reference: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Reference, ...]: ...
    def __getitem__(self, at: int | slice) -> Reference | tuple[Reference, ...]:
        if isinstance(at, slice):
            return tuple(self[index] for index in range(*at.indices(len(self))))
        start, end = self._starts[at], self._ends[at]
        return Reference(self._text.content[start:end], Span(start, end), bool(self._calls[at]))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, References):
            return isinstance(other, Sequence) and tuple(self) == tuple(other)
        return (self._starts, self._calls, self.names) == (other._starts, other._calls, other.names)

    def __hash__(self) -> int:
        return hash((bytes(self._starts), self._calls))

    def __repr__(self) -> str:
        return f"References({len(self)})"


def names_and_counts(references: Sequence[Reference]) -> Counter[str]:
    """How often each name is used, whichever kind of sequence holds the references."""
    if isinstance(references, References):
        return references.counts
    return Counter(reference.name for reference in references)
