"""A difference brought up to an edit: only where the edit and the hole were and are is looked at. Pure; any thread.

What comes of it may match other lines than comparing everything would; it tells as much, and every line once.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from gemma_lsp.prompt.difference import ELSEWHERE, Difference, Hunk, Lines, line_range, n_lines, told
from gemma_lsp.prompt.hole import Hole
from gemma_lsp.prompt.matching import NOWHERE, joined, origins, runs
from gemma_lsp.syntax.types import Chunk, ParsedFile
from gemma_lsp.syntax.whole import chunk_starts
from gemma_lsp.text import Span, Text

Runs = list[tuple[int, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """From one state of a file to the next. `known`: the difference of the text before, None where that is as laid out;
    `hole`: the one in it, outside of which nothing had changed since.
    """

    old: ParsedFile
    before: Text
    hole: Hole | None
    known: Difference | None
    after: ParsedFile


def follow(step: Step, hole: Span | None) -> Difference | None:
    """The difference of the file as it was laid out to its text after the step. None where all has to be compared."""
    carried = _carried(step)
    text = step.after.text
    if carried is None or len(carried.stands) != n_lines(text.content):
        return None
    cut = line_range(text, hole) if hole else range(0)
    carried.stands[cut.start : cut.stop] = [ELSEWHERE] * len(cut)
    groups = list(_groups(step.after, [lines for lines in (*carried.dirty, cut) if lines]))
    hunks = _standing_hunks(step, carried, groups)
    if hunks is None:
        return None
    kept: Runs = list(step.known.kept if step.known else [(0, n_lines(step.old.text.content))])
    for group in groups:
        kept = _matched(step.old.text, text, carried.stands, range(group[0][1].start, group[-1][1].stop), kept)
        for chunk, lines in group:
            own = carried.stands[lines.start : lines.stop]
            standing = [n for n in own if n >= 0]
            hunks += told(chunk.symbol, lines.start, own, _whole_lines(text.slice(chunk.span)))
            if standing and not any(n >= 0 for n in own):  # all of it is told
                kept = _without(kept, range(standing[0], standing[-1] + 1))
                carried.stands[lines.start : lines.stop] = own
    hunks.sort(key=lambda hunk: hunk.first)
    return Difference(
        kept=joined(sorted(kept)), hunks=tuple(hunks), lines=Lines(text, hole), text=text, stands=carried.stands
    )


@dataclass(frozen=True, slots=True)
class _Carried:
    """What stands in the text after the step, before anything is matched anew in the `dirty` lines.

    `moves`: runs of lines of the text that the known difference is of that are others now, and how many more.
    """

    stands: list[int]
    dirty: tuple[range, ...]
    moves: tuple[tuple[range, int], ...]

    def line(self, n: int) -> int:
        """Where a line of that text stands now."""
        for lines, by in self.moves:
            if n >= lines.stop:
                n += by
            elif n >= lines.start:
                n = min(n, lines.stop + by - 1)
        return n


def _carried(step: Step) -> _Carried | None:
    known, before, after = step.known, step.before, step.after.text
    stands = list(known.stands) if known else list(range(n_lines(before.content)))
    dirty, grown, behind = range(0), 0, 0
    if step.hole is not None:
        n = stands.count(ELSEWHERE)
        dirty = line_range(before, step.hole.span)
        if not n or step.hole.text.content != before.content or stands.index(ELSEWHERE) != dirty.start:
            return None
        grown, behind = len(dirty) - n, dirty.start + n
        stands[dirty.start : behind] = [NOWHERE] * len(dirty)
    elif known is not None and (known.text is None or known.text.content != before.content):
        return None
    head, tail = after.shared_with(before.content)
    first, last = before.line_at(head), before.line_at(len(before.content) - tail)
    by = after.n_lines - before.n_lines
    edited = range(first, min(last + by + 1, n_lines(after.content)))
    if not edited:
        return None
    stands[first : last + 1] = [NOWHERE] * len(edited)
    moved = range(*(n if n <= first else max(n + by, edited.start) for n in (dirty.start, dirty.stop)))
    moves = ((range(dirty.start, behind), grown), (range(first, last + 1), by))
    return _Carried(stands, (moved, edited), moves)


def _groups(parsed: ParsedFile, dirty: Sequence[range]) -> Iterator[list[tuple[Chunk, range]]]:
    """The chunks that hold some lines, those that follow each other together, with their lines."""
    starts, text = chunk_starts(parsed), parsed.text
    touched: set[int] = set()
    for lines in dirty:
        first, last = (bisect_right(starts, text.line_span(n).start) - 1 for n in (lines.start, lines.stop - 1))
        touched.update(range(first, last + 1))
    for first, stop in runs(sorted(touched)):
        chunks = [parsed.chunks[at] for at in range(first, stop)]
        yield [(chunk, line_range(text, chunk.span)) for chunk in chunks]


def _standing_hunks(step: Step, carried: _Carried, groups: list[list[tuple[Chunk, range]]]) -> list[Hunk] | None:
    """The hunks of chunks that are not looked at; None where one of them is no longer what its chunk would tell."""
    found: list[Hunk] = []
    starts, text = chunk_starts(step.after), step.after.text
    for hunk in step.known.hunks if step.known else ():
        first, stop = carried.line(hunk.first), carried.line(hunk.first + len(hunk.lines) - 1) + 1
        around = next((g for g in groups if g[0][1].start <= first < g[-1][1].stop), None)
        if around is not None and stop <= around[-1][1].stop:
            continue
        chunk = step.after.chunks[bisect_right(starts, text.line_span(first).start) - 1]
        same = chunk.symbol == hunk.symbol and stop - first == len(hunk.lines)
        if around is not None or not same or stop > line_range(text, chunk.span).stop:
            return None
        found.append(replace(hunk, first=first))
    return found


def _matched(old: Text, new: Text, stands: list[int], lines: range, kept: Runs) -> Runs:
    """Says for some lines which of the old ones they are that stand neither before nor behind them."""
    start = next((stands[n] + 1 for n in range(lines.start - 1, -1, -1) if stands[n] >= 0), 0)
    behind = (stands[n] for n in range(lines.stop, len(stands)) if stands[n] >= 0)
    stop = next(behind, n_lines(old.content))
    mine = [n for n in lines if stands[n] != ELSEWHERE]
    found = origins([old.line(n) for n in range(start, stop)], [new.line(n) for n in mine])
    for n, origin in zip(mine, found, strict=True):
        stands[n] = start + origin if origin != NOWHERE else NOWHERE
    return [*_without(kept, range(start, stop)), *runs([start + origin for origin in found if origin != NOWHERE])]


def _without(kept: Runs, lines: range) -> Runs:
    """Runs of lines without some."""
    found: Runs = []
    for start, stop in kept:
        found += [(start, min(stop, lines.start)), (max(start, lines.stop), stop)]
    return [(start, stop) for start, stop in found if start < stop]


def _whole_lines(text: str) -> str:
    return text if text.endswith("\n") else text + "\n"
