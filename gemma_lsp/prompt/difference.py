"""Which lines of a file still stand as they were laid out, and which have to be told. Pure; any thread.

Lines are what an edit changes, so that its cost is its size: a changed line in a long function hides and tells that
line, not the function.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, pairwise

from gemma_lsp.prompt.matching import NOWHERE, aligned, joined, origins, runs
from gemma_lsp.syntax.types import ParsedFile
from gemma_lsp.syntax.whole import chunk_starts
from gemma_lsp.text import Span, Text
from gemma_lsp.text.common import common_ends

_FEW = 16  # lines that are sooner found by looking through the text than by making a set of all
WHOLE_SHARE = 0.5  # of a chunk's lines; when more have changed all of it is told, in one piece; guessed
ELSEWHERE = -2  # of a line in the hole, as `NOWHERE` of one that is not told yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Hunk:
    """Changed lines of one chunk, in one run, with the line before and the line after them inside that chunk."""

    symbol: str
    first: int
    lines: tuple[str, ...]
    before: str = ""
    after: str = ""


class Lines:
    """The lines of a text without those of a part of it; the first that are asked for are looked for one by one."""

    def __init__(self, text: Text, hole: Span | None) -> None:
        self._content, self._hole = text.content, hole or Span(0, 0)
        self._left = _FEW

    @cached_property
    def _lines(self) -> frozenset[str]:
        outside = (self._content[: self._hole.start], self._content[self._hole.end :])
        return frozenset(line for part in outside for line in part.removesuffix("\n").split("\n"))

    def __contains__(self, line: object) -> bool:
        self._left -= 1
        if self._left < 0 or not isinstance(line, str):
            return line in self._lines
        return self._stands(line, 0, self._hole.start) or self._stands(line, self._hole.end, len(self._content))

    def _stands(self, line: str, start: int, end: int) -> bool:
        """Whether a line stands between two places at which lines begin."""
        content = self._content
        if content.startswith(line + "\n", start, end) or content.find(f"\n{line}\n", max(0, start - 1), end) >= 0:
            return True
        last = content.rfind("\n", start, end) + 1 or start
        return start < end and content[last:end] == line and last + len(line) == end == len(content)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """`kept`: half-open runs of the old text's lines that still stand. `lines`: all that the new text has.

    `gone`: the file is no more. `stands` says of each line of the new `text` which of the old ones it is.
    """

    kept: tuple[tuple[int, int], ...] = ()
    hunks: tuple[Hunk, ...] = ()
    lines: Container[str] = field(default=(), compare=False)
    gone: bool = False
    text: Text | None = field(default=None, compare=False, repr=False)
    stands: Sequence[int] = field(default=(), compare=False, repr=False)

    def keeps(self, line: int) -> bool:
        """Whether a line of the old text still stands."""
        at = bisect_right(self.kept, (line, 1 << 62)) - 1
        return at >= 0 and self.kept[at][0] <= line < self.kept[at][1]


def compare(old: ParsedFile | None, new: ParsedFile | None, hole: Span | None = None) -> Difference:
    """From the text that was laid out to the text as it is now; the `hole` of the latter is told elsewhere.

    What both begin and end with is not looked at. Then chunks that read as they did are matched, and lines only between
    them: looking at each line of a file of 5,000 lines would take as long as several keys.
    """
    if new is None:
        return Difference(gone=True)
    head, old_end, new_end = _middle(old, new, hole)
    was = _Part.of(old, head, old_end) if old else _Part([], [0])
    now = _Part.of(new, head, new_end)
    whole, stands = _matched(was, now, line_range(new.text, hole) if hole else range(0))
    first, number = now.lines[0], bisect_left(chunk_starts(new), head)
    kept, hunks, all_stand = [(0, first)], list[Hunk](), list(range(first))
    for at, (start, stop) in enumerate(pairwise(now.lines)):
        own = stands[start - first : stop - first]
        if at in whole:
            kept.append((own[0], own[-1] + 1))
        else:
            hunks += told(new.chunks[number + at].symbol, start, own, now.texts[at])
            kept += runs([line for line in own if line >= 0])
        all_stand += own
    behind = range(was.lines[-1], was.lines[-1] + n_lines(new.text.content[new_end:]))
    return Difference(
        kept=joined([*kept, (behind.start, behind.stop)]),
        hunks=tuple(hunks),
        lines=Lines(new.text, hole),
        text=new.text,
        stands=(*all_stand, *behind),
    )


def _middle(old: ParsedFile | None, new: ParsedFile, hole: Span | None) -> tuple[int, int, int]:
    """Where two texts begin to differ, and where each ends to do so: places at which chunks begin in both, or the ends.

    The hole lies between them.
    """
    content = new.text.content
    if old is None:
        return 0, 0, len(content)
    head, tail = common_ends(old.text.content, content)
    if hole:
        head, tail = min(head, hole.start), min(tail, len(content) - hole.end)
    was, now, by = chunk_starts(old), chunk_starts(new), len(content) - len(old.text.content)
    before = (start for start in reversed(now[: bisect_right(now, head)]) if _has(was, start))
    behind = (start for start in now[bisect_left(now, len(content) - tail) :] if _has(was, start - by))
    end = next(behind, len(content))
    return next(before, 0), end - by, end


def _has(ascending: Sequence[int], number: int) -> bool:
    at = bisect_left(ascending, number)
    return at < len(ascending) and ascending[at] == number


@dataclass(frozen=True, slots=True)
class _Part:
    """Chunks in a row, each ending with a line end, and the lines at which they begin; last that at which they end."""

    texts: list[str]
    lines: list[int]

    @classmethod
    def of(cls, parsed: ParsedFile, start: int, end: int) -> _Part:
        """The chunks from one offset to another."""
        content, starts = parsed.text.content, chunk_starts(parsed)
        edges = [*starts[bisect_left(starts, start) : bisect_left(starts, end)], end]
        texts = [content[a:b] for a, b in pairwise(edges)]
        if texts and not texts[-1].endswith("\n"):
            texts[-1] += "\n"
        counts = (text.count("\n") for text in texts)
        return cls(texts, list(accumulate(counts, initial=content.count("\n", 0, start))))

    def units(self, cut: range) -> Iterator[tuple[int, str, range]]:
        """The chunks with their numbers and lines; one that is cut into counts line by line, each with the number -1,
        without the lines that are cut out.
        """
        for at, (text, (start, stop)) in enumerate(zip(self.texts, pairwise(self.lines), strict=True)):
            if start < cut.stop and cut.start < stop:
                lines = zip(range(start, stop), text[:-1].split("\n"), strict=True)
                yield from ((-1, line + "\n", range(n, n + 1)) for n, line in lines if n not in cut)
            else:
                yield at, text, range(start, stop)


def _matched(was: _Part, now: _Part, cut: range) -> tuple[set[int], list[int]]:
    """Which chunks are as they were, and for each line of all of them which of the old ones it is."""
    first = now.lines[0]
    stands = [NOWHERE] * (now.lines[-1] - first)
    for n in cut:
        stands[n - first] = ELSEWHERE
    units = list(now.units(cut))
    whole: set[int] = set()
    i = j = 0
    found = aligned(was.texts, [text for _, text, _ in units])
    for k, origin in [*((k, at) for k, at in enumerate(found) if at != NOWHERE), (len(units), len(was.texts))]:
        _match_lines(was, range(i, origin), units[j:k], stands, first)
        if k < len(units):
            at, _, lines = units[k]
            stands[lines.start - first : lines.stop - first] = range(was.lines[origin], was.lines[origin + 1])
            whole |= {at} - {-1}
        i, j = origin + 1, k + 1
    return whole, stands


def _match_lines(
    was: _Part, chunks: range, units: Sequence[tuple[int, str, range]], stands: list[int], first: int
) -> None:
    """Says for the lines of some units which of those of some old chunks they are."""
    if not chunks or not units:
        return
    old = "".join(was.texts[chunks.start : chunks.stop])[:-1].split("\n")
    new = [line for _, text, _ in units for line in text[:-1].split("\n")]
    places = (n for _, _, lines in units for n in lines)
    for n, origin in zip(places, origins(old, new), strict=True):
        stands[n - first] = origin + was.lines[chunks.start] if origin != NOWHERE else NOWHERE


def n_lines(content: str) -> int:
    """Lines that hold something: an empty one behind the last line end is none."""
    return content.count("\n") + bool(content and not content.endswith("\n"))


def line_range(text: Text, span: Span) -> range:
    """The lines of a span of whole lines."""
    if not span:
        return range(0)
    return range(text.line_at(span.start), text.line_at(max(span.start, span.end - 1)) + 1)


def told(symbol: str, first: int, stands: list[int], text: str) -> list[Hunk]:
    """What is to be told of a chunk that begins at the line `first`. Where that is most of it, none of it stands."""
    if NOWHERE not in stands:
        return []
    lines = text[:-1].split("\n")
    _tell_whole(stands, lines)
    return _hunks(symbol, first, stands, lines)


def _tell_whole(stands: list[int], lines: Sequence[str]) -> None:
    """Gives up what still stands of a chunk that has mostly changed; the hole does not cut into it."""
    own = [at for at, line in zip(stands, lines, strict=True) if line.strip()]
    changed = own.count(NOWHERE)
    if ELSEWHERE not in own and WHOLE_SHARE * len(own) < changed < len(own):
        stands[:] = [NOWHERE] * len(stands)


def _hunks(symbol: str, first: int, stands: Sequence[int], lines: Sequence[str]) -> list[Hunk]:
    """The runs of lines of a chunk, which begins at the line `first`, that stand nowhere."""
    found = []
    for start, stop in runs([n for n, at in enumerate(stands) if at == NOWHERE]):
        if any(line.strip() for line in lines[start:stop]):
            before = next((line for line in reversed(lines[:start]) if line.strip()), "")
            after = next((line for line in lines[stop:] if line.strip()), "")
            told = tuple(lines[start:stop])
            found.append(Hunk(symbol=symbol, first=first + start, lines=told, before=before, after=after))
    return found
