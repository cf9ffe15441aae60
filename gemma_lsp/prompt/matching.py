"""Which texts of a sequence are which of another: in order, each at most once. Pure; any thread."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import pairwise

ANCHOR_CHARS = 8  # a run of unchanged lines between changed ones that says less is told with them; guessed
NOWHERE = -1  # of a line that no other is


def origins(old: Sequence[str], new: Sequence[str]) -> list[int]:
    """For each new line the old one that it is, or `NOWHERE`; in order.

    Lines that both texts have exactly once are matched first (Bram Cohen's patience diff), the gaps between them then.
    """
    found = aligned(old, new)
    _drop_weak(found, new)
    return found


def aligned(old: Sequence[str], new: Sequence[str]) -> list[int]:
    """The same for texts of any size, weak ones too."""
    found = [NOWHERE] * len(new)
    i = j = 0
    for a, b in [*_anchors(old, new), (len(old), len(new))]:
        _match_gap(old, new, (i, a), (j, b), found)
        if b < len(new):
            found[b] = a
        i, j = a + 1, b + 1
    return found


def _anchors(old: Sequence[str], new: Sequence[str]) -> list[tuple[int, int]]:
    """The longest ascending run of pairs of lines that both texts have once."""
    once_old, once_new = Counter(old), Counter(new)
    places = {line: n for n, line in enumerate(old) if once_old[line] == 1}
    pairs = [(places[line], n) for n, line in enumerate(new) if once_new[line] == 1 and line in places]
    tops: list[int] = []  # the least old line at which an ascending run of each length ends
    ends: list[int] = []  # and that pair's index
    previous: list[int] = []
    for index, (a, _) in enumerate(pairs):
        at = bisect_left(tops, a)
        previous.append(ends[at - 1] if at else -1)
        tops[at : at + 1], ends[at : at + 1] = [a], [index]
    chain: list[tuple[int, int]] = []
    index = ends[-1] if ends else -1
    while index >= 0:
        chain.append(pairs[index])
        index = previous[index]
    return chain[::-1]


def _match_gap(
    old: Sequence[str], new: Sequence[str], a: tuple[int, int], b: tuple[int, int], found: list[int]
) -> None:
    """Matches old[a] with new[b]: their beginnings, their ends, and what is alike between."""
    (i, i_end), (j, j_end) = a, b
    while i < i_end and j < j_end and old[i] == new[j]:
        found[j] = i
        i, j = i + 1, j + 1
    while i < i_end and j < j_end and old[i_end - 1] == new[j_end - 1]:
        i_end, j_end = i_end - 1, j_end - 1
        found[j_end] = i_end
    if i < i_end and j < j_end:
        matcher = SequenceMatcher(None, old[i:i_end], new[j:j_end], autojunk=False)
        for at, to, n in matcher.get_matching_blocks():
            found[j + to : j + to + n] = range(i + at, i + at + n)


def _drop_weak(found: list[int], new: Sequence[str]) -> None:
    """Gives up runs between changes that say next to nothing: a blank line, an `else:`."""
    first, n = 0, len(found)
    while first < n:
        stop = first + 1
        while stop < n and found[stop] != NOWHERE and found[stop] == found[stop - 1] + 1:
            stop += 1
        inner = first > 0 and stop < n and found[first - 1] == NOWHERE and found[stop] == NOWHERE
        if inner and found[first] != NOWHERE and sum(len(x.strip()) for x in new[first:stop]) < ANCHOR_CHARS:
            found[first:stop] = [NOWHERE] * (stop - first)
        first = stop


def joined(runs: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Runs in order, those that touch as one, without empty ones."""
    found: list[tuple[int, int]] = []
    for start, stop in runs:
        if found and found[-1][1] == start:
            found[-1] = (found[-1][0], stop)
        elif start < stop:
            found.append((start, stop))
    return tuple(found)


def runs(numbers: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Ascending numbers as half-open runs."""
    if not numbers:
        return ()
    breaks = [i for i, (a, b) in enumerate(pairwise(numbers), 1) if b != a + 1]
    edges = [0, *breaks, len(numbers)]
    return tuple((numbers[i], numbers[j - 1] + 1) for i, j in pairwise(edges))
