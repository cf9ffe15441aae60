"""Immutable sets of integers, kept as sorted half-open ranges that neither overlap nor touch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


class Ranges:
    """An immutable set of token positions; the operations cost the number of ranges, which stays small."""

    __slots__ = ("_ranges",)

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        ranges = [r for r in ranges if r[0] < r[1]]
        if len(ranges) < 2:  # most are: a token costs some twenty of them
            self._ranges = tuple(ranges)
            return
        merged: list[tuple[int, int]] = []
        for start, stop in sorted(ranges):
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(merged[-1][1], stop))
            else:
                merged.append((start, stop))
        self._ranges = tuple(merged)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(self._ranges)

    def __bool__(self) -> bool:
        return bool(self._ranges)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ranges) and other._ranges == self._ranges

    def __hash__(self) -> int:
        return hash(self._ranges)

    def __repr__(self) -> str:
        return "Ranges(" + ", ".join(f"{a}..{b}" for a, b in self._ranges) + ")"

    def __len__(self) -> int:
        return sum(stop - start for start, stop in self._ranges)

    def __contains__(self, position: int) -> bool:
        return any(start <= position < stop for start, stop in self._ranges)

    def __or__(self, other: Ranges) -> Ranges:
        if not other._ranges or not self._ranges:
            return self if self._ranges else other
        return Ranges((*self._ranges, *other._ranges))

    def __and__(self, other: Ranges) -> Ranges:
        if not other._ranges or not self._ranges:
            return other if self._ranges else self
        return Ranges((max(a, c), min(b, d)) for a, b in self._ranges for c, d in other._ranges)

    def __sub__(self, other: Ranges) -> Ranges:
        if not other._ranges or not self._ranges:
            return self
        pieces = list(self._ranges)
        for c, d in other._ranges:
            pieces = [piece for a, b in pieces for piece in ((a, min(b, c)), (max(a, d), b)) if piece[0] < piece[1]]
        return Ranges(pieces)

    def below(self, stop: int) -> Ranges:
        """The positions under `stop`."""
        return Ranges((a, min(b, stop)) for a, b in self._ranges)

    def covers(self, other: Ranges) -> bool:
        """Whether every position of `other` is in here."""
        return not (other - self)


def span(start: int, stop: int) -> Ranges:
    """The positions [start, stop)."""
    return Ranges(((start, stop),))
