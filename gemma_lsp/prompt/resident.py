"""The resident prompt as it should read now: body without what is stale, errata, and where the hole is. Immutable.

The body is frozen until the next layout. Lines that change afterwards are masked out of it and told again behind it,
in order of their happening, so that everything before stays where it is. Any thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from gemma_lsp.prompt.difference import Difference, compare
from gemma_lsp.prompt.errata import Erratum, retold
from gemma_lsp.prompt.following import Step, follow
from gemma_lsp.prompt.frame import NEWER, Frame
from gemma_lsp.prompt.hole import Hole, moved_hole, open_hole
from gemma_lsp.prompt.layout import BYTES_PER_TOKEN, FileEntry, Form, Layout, chunk_segments
from gemma_lsp.prompt.segments import Prompt, Region, Segment
from gemma_lsp.syntax.index import Index
from gemma_lsp.syntax.types import ParsedFile
from gemma_lsp.text import Span
from gemma_lsp.workspace.patched import differing

STALE_SHARE = 0.15  # of the body that may be masked or told again before a new layout is worth it; guessed
STALE_TOKENS = 512
FOLD_SHARE = 0.05  # of the body, from which on it is folded where cells can be moved; guessed
_BEFORE_THE_HOLE = ("_head", "moved", "whole", "end")


@dataclass(frozen=True, slots=True)
class Focus:
    """Where the user works: the place of the last edit or of the cursor that asks."""

    path: str
    offset: int


@dataclass(frozen=True)
class Resident:
    """One state of the prompt. `with_index` is the only way from one to the next.

    `base` is the index that was laid out, `changes` says of every file that is not as it was there what still stands.
    """

    layout: Layout
    frame: Frame
    base: Index
    index: Index
    errata: tuple[Erratum, ...] = ()
    hole: Hole | None = None
    changes: Mapping[str, Difference] = field(default_factory=dict)

    @classmethod
    def start(cls, layout: Layout, index: Index, frame: Frame) -> Resident:
        """The state right after a layout: nothing changed, nothing edited."""
        return cls(layout=layout, frame=frame, base=index, index=index)

    @cached_property
    def whole(self) -> Prompt:
        """What is read into the cache: all of the layout, so that whatever is masked later can come back."""
        return (*self.frame.head, *self.layout.segments, *self.end)

    @cached_property
    def end(self) -> Prompt:
        """The line that ends the body, if there is a body."""
        return (Segment(Region.BODY, NEWER),) if self.layout.segments else ()

    def head(self) -> Prompt:
        """Preamble, visible body and errata: the part of every prompt that all features share."""
        return self._head

    @cached_property
    def _head(self) -> Prompt:
        body = tuple(s for entry in self.layout.entries for s in self._visible(entry))
        return (*self.frame.head, *body, *self.end, *(e.segment for e in self.errata))

    @property
    def stale(self) -> bool:
        """Whether so much is masked or told again that a new layout should be made when nobody waits."""
        return self.moved > max(STALE_TOKENS, STALE_SHARE * self.layout.n_tokens) * BYTES_PER_TOKEN

    @property
    def foldable(self) -> bool:
        """Whether so much is masked or told again that it should go back into the body, if that costs no reading."""
        return self.moved > max(STALE_TOKENS, FOLD_SHARE * self.layout.n_tokens) * BYTES_PER_TOKEN

    @cached_property
    def moved(self) -> int:
        """Characters that are masked or told again, outside of the file that is being edited."""
        moved = sum(len(e.segment.visible) for e in self.errata)
        for path, change in self.changes.items():
            entry = self.layout.by_path.get(path)
            if entry and not change.gone and not (self.hole and self.hole.path == path):
                shown = sum(len(s.visible) for s in self._visible(entry))
                moved += sum(len(s.text) for s in _segments(entry)) - shown
        return moved

    def with_index(self, index: Index, focus: Focus | None) -> Resident:
        """The state after edits. The hole follows the focus; what leaves it changed becomes an erratum."""
        hole, moved = self._next_hole(index, focus)
        due = differing(self.index.files, index.files)
        if moved and hole:
            due.discard(hole.path)  # only what the hole stands for has changed there
        else:
            due |= {h.path for h in (self.hole, hole) if h}
        changes = {path: change for path, change in self.changes.items() if path not in due}
        for path in sorted(due):
            inside = hole if hole and hole.path == path else None
            if inside or index.files.get(path) is not self.base.files.get(path):
                changes[path] = self._difference(path, index, inside.span if inside else None)
        errata = retold(self.errata, changes) if due else self.errata
        after = replace(self, index=index, hole=hole, changes=changes, errata=errata)
        if not due:  # typing in the hole changes nothing before it
            after.__dict__.update((name, made) for name, made in self.__dict__.items() if name in _BEFORE_THE_HOLE)
        return after

    def _difference(self, path: str, index: Index, hole: Span | None) -> Difference:
        """How a file differs from what was laid out, out of how it did before."""
        old, was, new = self.base.files.get(path), self.index.files.get(path), index.files.get(path)
        known, before = self.changes.get(path), self.hole if self.hole and self.hole.path == path else None
        if old and was and new and (known or (was is old and before is None)):
            step = Step(old=old, before=was.text, hole=before, known=known, after=new)
            if (followed := follow(step, hole)) is not None:
                return followed
        return compare(old, new, hole)

    def _next_hole(self, index: Index, focus: Focus | None) -> tuple[Hole | None, bool]:
        """The hole, and whether it is the one that was open before."""
        hole = self.hole
        if hole and (parsed := index.files.get(hole.path)):
            offset = focus.offset if focus and focus.path == hole.path else None
            if focus is None or focus.path == hole.path:
                moved = moved_hole(hole, parsed.text, offset, self.frame.hole_chars)
                if moved:
                    return moved, True
        if focus is None or focus.path not in index.files:
            return None, False
        return open_hole(index.files[focus.path], focus.offset, self.frame.hole_chars), False

    def _visible(self, entry: FileEntry) -> tuple[Segment, ...]:
        """A file's segments without what is masked; a file of which nothing is left loses its header too."""
        change, parsed = self.changes.get(entry.path), self.base.files.get(entry.path)
        if change is None or parsed is None:
            return _segments(entry)
        if entry.form is Form.MAP:
            return () if change.gone else entry.chunks
        shown: list[Segment] = []
        for segment, lines in zip(entry.chunks, _lines_of(entry, parsed), strict=True):
            kept = [change.keeps(line) for line in lines]
            if entry.form is Form.FULL:
                part = _part(segment, kept)
            else:
                part = segment if _outline_stands(segment, parsed, lines, kept) else None
            shown += [part] if part else []
        return (*((entry.header,) if entry.header else ()), *shown) if shown else ()


def _segments(entry: FileEntry) -> tuple[Segment, ...]:
    return (*((entry.header,) if entry.header else ()), *entry.chunks)


def _lines_of(entry: FileEntry, parsed: ParsedFile) -> list[range]:
    """The file's lines that each of an entry's chunks stands for; the entry has its chunks in the file's order."""
    found: list[range] = []
    at = 0
    for segment in chunk_segments(parsed):
        n = segment.text.count("\n")
        if len(found) < len(entry.keys) and entry.keys[len(found)] == segment.key:
            found.append(range(at, at + n))
        at += n
    return found


def _part(segment: Segment, kept: list[bool]) -> Segment | None:
    """A chunk with the lines that are kept; None if nothing but blank lines is."""
    lines = _lines(segment.text)
    if not any(keep and line.strip() for keep, line in zip(kept, lines, strict=True)):
        return None
    if all(keep or not line.strip() for keep, line in zip(kept, lines, strict=True)):
        return segment
    spans: list[tuple[int, int]] = []
    at = 0
    for line, keep in zip(lines, kept, strict=True):
        if keep and spans and spans[-1][1] == at:
            spans[-1] = (spans[-1][0], at + len(line))
        elif keep:
            spans.append((at, at + len(line)))
        at += len(line)
    return replace(segment, shown=tuple(spans))


def _outline_stands(segment: Segment, parsed: ParsedFile, lines: range, kept: list[bool]) -> bool:
    """Whether every line of the outline that is the file's own still stands there."""
    shown = [line for line in segment.text.split("\n") if line.strip()]
    gone = [parsed.text.line(n) for n, keep in zip(lines, kept, strict=True) if not keep]
    # A signature stands in the outline with an ellipsis behind it.
    return not any(line.startswith(lost) for lost in gone if lost.strip() for line in shown)


def _lines(text: str) -> list[str]:
    """Lines with their ends; `str.splitlines` would split at form feeds, too."""
    return [line + "\n" for line in text.removesuffix("\n").split("\n")]
