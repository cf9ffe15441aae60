"""Which lines of a file still stand as they were laid out, and which have to be told. Pure; any thread.

Lines are what an edit changes, so that its cost is its size: a changed line in a long function hides and tells that
line, not the function.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise

from gemma_lsp.syntax.types import Chunk, ParsedFile
from gemma_lsp.text import Span, Text

WHOLE_SHARE = 0.5  # of a chunk's lines; when more have changed all of it is told, in one piece; guessed
ANCHOR_CHARS = 8  # a run of unchanged lines between changed ones that says less is told with them; guessed
_NOWHERE, _ELSEWHERE = -1, -2  # of a line that is not told yet, and of one in the hole


@dataclass(frozen=True, slots=True, kw_only=True)
class Hunk:
    """Changed lines of one chunk, in one run, with the line before and the line after them inside that chunk."""

    symbol: str
    first: int
    lines: tuple[str, ...]
    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """`kept`: half-open runs of the old text's lines that still stand. `lines`: all that the new text has.

    `gone`: the file is no more.
    """

    kept: tuple[tuple[int, int], ...] = ()
    hunks: tuple[Hunk, ...] = ()
    lines: frozenset[str] = frozenset()
    gone: bool = False

    def keeps(self, line: int) -> bool:
        """Whether a line of the old text still stands."""
        at = bisect_right(self.kept, (line, 1 << 62)) - 1
        return at >= 0 and self.kept[at][0] <= line < self.kept[at][1]


def compare(old: ParsedFile | None, new: ParsedFile | None, hole: Span | None = None) -> Difference:
    """From the text that was laid out to the text as it is now; the `hole` of the latter is told elsewhere.

    Chunks that read as they did are matched first, lines only between them: a file of 5,000 lines needs a few
    milliseconds, where a difference of all its lines would need a tenth of a second.
    """
    if new is None:
        return Difference(gone=True)
    before, after = _lines(old.text) if old else [], _lines(new.text)
    cut = _line_range(new.text, hole) if hole else range(0)
    was, now = _units(old, before, range(0)) if old else [], _units(new, after, cut)
    stands = [_NOWHERE] * len(after)
    stands[cut.start : cut.stop] = [_ELSEWHERE] * len(cut)
    i = j = 0
    texts = ([text for text, _ in was], [text for text, _ in now])
    for a, b, n in SequenceMatcher(None, *texts, autojunk=False).get_matching_blocks():
        _match_lines(before, after, _spanned(was[i:a]), [x for _, lines in now[j:b] for x in lines], stands)
        for (_, ours), (_, theirs) in zip(was[a : a + n], now[b : b + n], strict=True):
            stands[theirs.start : theirs.stop] = ours
        i, j = a + n, b + n
    changed = [(chunk, lines) for chunk, lines in _chunk_lines(new) if _NOWHERE in stands[lines.start : lines.stop]]
    for _, lines in changed:
        _tell_whole(lines, stands, after)
    kept = _runs(sorted(n for n in stands if n >= 0))
    hunks = tuple(h for chunk, lines in changed for h in _hunks(chunk, lines, stands, after))
    return Difference(kept=kept, hunks=hunks, lines=frozenset((*after[: cut.start], *after[cut.stop :])))


def _lines(text: Text) -> list[str]:
    lines = text.content.split("\n")
    return lines[:-1] if lines and not lines[-1] else lines


def _line_range(text: Text, span: Span) -> range:
    """The lines of a span of whole lines."""
    if not span:
        return range(0)
    return range(text.position(span.start).line, text.position(max(span.start, span.end - 1)).line + 1)


def _chunk_lines(parsed: ParsedFile) -> list[tuple[Chunk, range]]:
    """Chunks tile their file by whole lines."""
    content, at, found = parsed.text.content, 0, []
    for chunk in parsed.chunks:
        text = content[chunk.span.start : chunk.span.end]
        n = text.count("\n") + (not text.endswith("\n"))
        found.append((chunk, range(at, at + n)))
        at += n
    return found


def _units(parsed: ParsedFile, lines: Sequence[str], cut: range) -> list[tuple[str, range]]:
    """Chunks with their lines; one that the hole cuts into counts line by line."""
    found: list[tuple[str, range]] = []
    for chunk, own in _chunk_lines(parsed):
        if own.start < cut.stop and cut.start < own.stop:
            found += [(lines[n], range(n, n + 1)) for n in own if n not in cut and n < len(lines)]
        else:
            text = parsed.text.content[chunk.span.start : chunk.span.end]
            found.append((text.removesuffix("\n"), range(own.start, min(own.stop, len(lines)))))
    return found


def _spanned(units: Sequence[tuple[str, range]]) -> range:
    return range(units[0][1].start, units[-1][1].stop) if units else range(0)


def _match_lines(
    before: Sequence[str], after: Sequence[str], old: range, new: Sequence[int], stands: list[int]
) -> None:
    """Says for the `new` lines which of the `old` ones they are."""
    if not old or not new:
        return
    found = _origins(before[old.start : old.stop], [after[n] for n in new])
    for n, origin in zip(new, found, strict=True):
        stands[n] = origin + old.start if origin != _NOWHERE else _NOWHERE


def _origins(old: Sequence[str], new: Sequence[str]) -> list[int]:
    """For each new line the old one that it is, or `_NOWHERE`; in order.

    Lines that both texts have exactly once are matched first (Bram Cohen's patience diff), the gaps between them then.
    """
    found = [_NOWHERE] * len(new)
    i = j = 0
    for a, b in [*_anchors(old, new), (len(old), len(new))]:
        _match_gap(old, new, (i, a), (j, b), found)
        if b < len(new):
            found[b] = a
        i, j = a + 1, b + 1
    _drop_weak(found, new)
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
        while stop < n and found[stop] != _NOWHERE and found[stop] == found[stop - 1] + 1:
            stop += 1
        inner = first > 0 and stop < n and found[first - 1] == _NOWHERE and found[stop] == _NOWHERE
        if inner and found[first] != _NOWHERE and sum(len(x.strip()) for x in new[first:stop]) < ANCHOR_CHARS:
            found[first:stop] = [_NOWHERE] * (stop - first)
        first = stop


def _tell_whole(lines: range, stands: list[int], text: Sequence[str]) -> None:
    """Gives up what still stands of a chunk that has mostly changed; the hole does not cut into it."""
    own = [n for n in lines if n < len(text) and text[n].strip()]
    changed = sum(stands[n] == _NOWHERE for n in own)
    if all(stands[n] != _ELSEWHERE for n in own) and WHOLE_SHARE * len(own) < changed < len(own):
        stands[lines.start : lines.stop] = [_NOWHERE] * len(stands[lines.start : lines.stop])


def _hunks(chunk: Chunk, lines: range, stands: Sequence[int], text: Sequence[str]) -> list[Hunk]:
    """The runs of lines of a chunk that stand nowhere."""
    found = []
    own = range(lines.start, min(lines.stop, len(text)))
    for first, stop in _runs([n for n in own if stands[n] == _NOWHERE]):
        if any(line.strip() for line in text[first:stop]):
            before = next((text[n] for n in range(first - 1, own.start - 1, -1) if text[n].strip()), "")
            after = next((text[n] for n in range(stop, own.stop) if text[n].strip()), "")
            told = tuple(text[first:stop])
            found.append(Hunk(symbol=chunk.symbol, first=first, lines=told, before=before, after=after))
    return found


def _runs(numbers: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Ascending numbers as half-open runs."""
    if not numbers:
        return ()
    breaks = [i for i, (a, b) in enumerate(pairwise(numbers), 1) if b != a + 1]
    edges = [0, *breaks, len(numbers)]
    return tuple((numbers[i], numbers[j - 1] + 1) for i, j in pairwise(edges))
