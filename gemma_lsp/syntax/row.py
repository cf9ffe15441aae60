"""The pieces of a text in a row, kept through edits: an edit has those read that it concerns. For one thread at a time.

Invariant: what is kept is what reading everything would give. A run of pieces depends on what was looked at for it, and
on where pieces may begin in that; where neither has changed, it stands.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import attrgetter

from gemma_lsp.syntax.facts import Facts
from gemma_lsp.syntax.pieces import Starts, is_definition, piece_end

Read = Callable[[str], tuple[Facts, ...]]

_HOPS = 32  # strings and brackets in a row that hold what looks like statements
_BEHIND = 100  # code points behind a piece that may say whether it goes on
_LENGTH = attrgetter("length")


@dataclass(frozen=True, slots=True)
class Run:
    """What was read from one start on: pieces of `length` code points, for which so many were looked at."""

    facts: tuple[Facts, ...]
    length: int
    reach: int


class Row:
    """The pieces of one text."""

    def __init__(self) -> None:
        self._begin = 0
        self._runs: list[Run] = []

    def update(self, content: str, starts: Starts, read: Read, begin: int = 0) -> list[Facts]:
        """The pieces of the text from `begin` on, which is one of the starts, as they are now. `read` says what stands
        in one, by its text alone.
        """
        runs, ends = self._runs, list(accumulate(map(_LENGTH, self._runs), initial=self._begin))
        kept = self._standing(ends, starts.kept) if begin == self._begin else 0
        found, at = runs[:kept], ends[kept] if kept else begin
        while at < len(content):
            if at >= starts.moved:
                old = bisect_left(ends, at - starts.by)
                if old < len(ends) and ends[old] == at - starts.by:
                    found += runs[old:]
                    break
            found.append(closed(content, starts.offsets, at, read))
            at += found[-1].length
        self._begin, self._runs = begin, found
        return [facts for run in found for facts in run.facts]

    def _standing(self, ends: Sequence[int], limit: int) -> int:
        """How many of the runs depend on nothing behind a place."""
        n = bisect_right(ends, limit) - 1
        far = (at for at, run in enumerate(self._runs[: max(0, n)]) if ends[at] + run.reach > limit)
        return max(0, next(far, n))


def closed(content: str, starts: list[int], start: int, read: Read) -> Run:
    """The piece that begins at one of the starts, with what belongs to a string or a bracket that is open at its end;
    without it if nothing closes that.
    """
    own = end = starts[bisect_right(starts, start)] if start < starts[-1] else start
    first = found = read(content[start:end])
    reach = own
    for _ in range(_HOPS):
        if found[-1].in_string or found[-1].in_brackets:
            reach = max(reach, end + _BEHIND)
        if not is_open(found[-1], content, end):
            return Run(found, end - start, reach - start)
        behind, seen = piece_end(content, starts, end - found[-1].length, end)
        reach = max(reach, seen + _BEHIND, behind or 0)
        if behind is None:
            break
        found, end = read(content[start:behind]), behind
    return Run(first, own - start, max(reach, end) - start)


def is_open(facts: Facts, content: str, end: int) -> bool:
    """Whether what stands at `end` may belong to a string or a bracket that the piece before it opened."""
    return end < len(content) and (facts.in_string or (facts.in_brackets and not is_definition(content, end)))
