"""Where lines begin, kept through edits: those behind an edit are moved all at once. Immutable; any thread."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from typing import overload

_LINE_FEED = re.compile("\n")


class Moved(Sequence[int]):
    """Ascending offsets; those after the first few are written down `by` too low.

    So an edit costs what lies between it and the last one, not the file.
    """

    __slots__ = ("_by", "_head", "_tail")

    def __init__(self, head: list[int], tail: list[int], by: int) -> None:
        self._head, self._tail, self._by = head, tail, by

    def __len__(self) -> int:
        return len(self._head) + len(self._tail)

    @overload
    def __getitem__(self, at: int) -> int: ...
    @overload
    def __getitem__(self, at: slice) -> list[int]: ...
    def __getitem__(self, at: int | slice) -> int | list[int]:
        if isinstance(at, slice):
            return [*self._head, *map(self._by.__add__, self._tail)][at]
        if at < 0:
            at += len(self)
        n = len(self._head)
        return self._head[at] if at < n else self._tail[at - n] + self._by

    def first(self, n: int) -> list[int]:
        """The first offsets, as they are. Not to be changed."""
        more = n - len(self._head)
        if more > 0:
            return [*self._head, *map(self._by.__add__, self._tail[:more])]
        return self._head[:n] if more else self._head

    def last(self, n: int) -> list[int]:
        """Those from the n-th on, as they are written down. Not to be changed."""
        skip = n - len(self._head)
        if skip < 0:
            return [*map((-self._by).__add__, self._head[n:]), *self._tail]
        return self._tail[skip:] if skip else self._tail

    @property
    def by(self) -> int:
        """What `last` lacks."""
        return self._by


def starts_after(
    starts: Sequence[int], start: int, end: int, new: str, line_end: re.Pattern[str] = _LINE_FEED
) -> Sequence[int]:
    """Where lines begin after the code points from `start` to `end` were replaced by `new`.

    Neither may the text before `new` end in the middle of a line end, nor that behind it begin there.
    """
    known = starts if isinstance(starts, Moved) else Moved(list(starts), [], 0)
    first, last = bisect_right(known, start), bisect_right(known, end)
    head = known.first(first)
    if inserted := [start + match.end() for match in line_end.finditer(new)]:
        head = [*head, *inserted]
    return Moved(head, known.last(last), known.by + len(new) - (end - start))
