"""What has changed since the body was laid out, told behind it: a log whose entries stay for as long as they are true.

Pure; any thread. An entry that has become partly untrue loses those lines and keeps its place; new lines are told in a
new entry at the end. So an edit costs its own lines, also where it changes what an earlier one told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from itertools import groupby

from gemma_lsp.prompt.difference import Difference, Hunk
from gemma_lsp.prompt.frame import file_header
from gemma_lsp.prompt.segments import Region, Segment


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an erratum, by its place in the segment's text. `context` is there to say where the others belong."""

    text: str
    start: int
    stop: int
    context: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Erratum:
    """Lines of one place of a file, under a header of their own. `segment.shown` leaves out what is no longer true."""

    path: str
    symbol: str = ""
    segment: Segment
    lines: tuple[Line, ...] = ()


def retold(errata: Sequence[Erratum], differences: Mapping[str, Difference]) -> tuple[Erratum, ...]:
    """The errata after a change: what is still true in its place, then what is new in the order of paths and lines."""
    needed = {path: _Needed.of(difference.hunks) for path, difference in differences.items()}
    told = ((e, differences[e.path]) for e in errata if e.path in differences)
    kept = [e for erratum, now in told if (e := _still(erratum, now, needed[erratum.path]))]
    fresh: list[Erratum] = []
    for path, difference in differences.items():
        if difference.gone:
            gone = _gone(path)
            fresh += [] if any(e.segment == gone.segment for e in kept) else [gone]
        fresh += [_erratum(path, list(parts)) for _, parts in groupby(needed[path].left(), key=lambda h: h.symbol)]
    return (*kept, *fresh)


@dataclass(slots=True)
class _Needed:
    """The changed lines of a file, and which of them some erratum already tells."""

    hunks: Sequence[Hunk]
    lines: list[str | None]  # of all hunks; None once it is told
    symbols: list[str]  # of each line

    @classmethod
    def of(cls, hunks: Sequence[Hunk]) -> _Needed:
        """Nothing is told yet."""
        pairs = [(line, hunk.symbol) for hunk in hunks for line in hunk.lines]
        return cls(hunks, [line for line, _ in pairs], [symbol for _, symbol in pairs])

    def claim(self, symbol: str, told: Sequence[str]) -> frozenset[int]:
        """Finds lines of an erratum among those needed of its symbol; returns which of them are."""
        live: set[int] = set()
        mine = [line if of == symbol else None for line, of in zip(self.lines, self.symbols, strict=True)]
        for i, j, n in SequenceMatcher(None, told, mine, autojunk=False).get_matching_blocks():
            if any(line.strip() for line in told[i : i + n]):
                live.update(range(i, i + n))
                self.lines[j : j + n] = [None] * n
        return frozenset(live)

    def left(self) -> list[Hunk]:
        """What is still to be told."""
        found, at = [], 0
        for hunk in self.hunks:
            lines = self.lines[at : at + len(hunk.lines)]
            at += len(lines)
            found += _parts(hunk, [line is None for line in lines])
        return found


def _parts(hunk: Hunk, told: Sequence[bool]) -> list[Hunk]:
    """The runs of a hunk's lines that are not told yet, each with its neighbours as context."""
    found, first, n = [], 0, len(hunk.lines)
    while first < n:
        stop = first
        while stop < n and told[stop] == told[first]:
            stop += 1
        lines = hunk.lines[first:stop]
        if not told[first] and any(line.strip() for line in lines):
            before = next((line for line in reversed(hunk.lines[:first]) if line.strip()), hunk.before)
            after = next((line for line in hunk.lines[stop:] if line.strip()), hunk.after)
            found.append(replace(hunk, first=hunk.first + first, lines=lines, before=before, after=after))
        first = stop
    return found


def _still(erratum: Erratum, now: Difference, needed: _Needed) -> Erratum | None:
    """The erratum as far as it is true; None if nothing of it is."""
    if not erratum.lines:
        return erratum if now.gone else None
    told = [line for line in erratum.lines if not line.context]
    live = needed.claim(erratum.symbol, [line.text for line in told])
    if not live:
        return None
    # Part of the lines would be read as standing between neighbours that are not theirs.
    context = [line for line in erratum.lines if line.context and len(live) == len(told) and line.text in now.lines]
    parts = sorted([(line.start, line.stop) for line in (*context, *(told[i] for i in live))])
    header, end = erratum.lines[0].start, len(erratum.segment.text)
    shown = _joined([(0, header), *parts])
    segment = replace(erratum.segment, shown=None if shown == ((0, end),) else shown)
    return erratum if segment == erratum.segment else replace(erratum, segment=segment)


def _joined(spans: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    found: list[tuple[int, int]] = []
    for start, stop in spans:
        if found and found[-1][1] == start:
            found[-1] = (found[-1][0], stop)
        else:
            found.append((start, stop))
    return tuple(found)


def _erratum(path: str, hunks: Sequence[Hunk]) -> Erratum:
    """Hunks of one definition under one header."""
    symbol = hunks[0].symbol
    inside = symbol and any(hunk.before or hunk.after for hunk in hunks)
    text = file_header(path, f"changed in {symbol}" if inside else "changed")
    lines: list[Line] = []
    for hunk in hunks:
        for content, context in ((hunk.before, True), *((line, False) for line in hunk.lines), (hunk.after, True)):
            # Where two hunks are neighbours the line between them is said once.
            if context and (not content.strip() or (lines and lines[-1].text == content)):
                continue
            lines.append(Line(content, len(text), len(text) + len(content) + 1, context))
            text += content + "\n"
    return Erratum(path=path, symbol=symbol, segment=Segment(Region.ERRATA, text), lines=tuple(lines))


def _gone(path: str) -> Erratum:
    return Erratum(path=path, segment=Segment(Region.ERRATA, file_header(path, "deleted")))
