"""The resident prompt as it should read now: body without what is stale, errata, and where the hole is. Immutable.

The body is frozen until the next layout. What changes afterwards is masked out of it and told again behind it, in
order of its happening, so that everything before stays where it is. Any thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from gemma_lsp.prompt.frame import Frame, file_header
from gemma_lsp.prompt.hole import Hole, moved_hole, open_hole
from gemma_lsp.prompt.layout import FileEntry, Layout, chunk_segments, estimate
from gemma_lsp.prompt.segments import Prompt, Region, Segment
from gemma_lsp.syntax.index import Index
from gemma_lsp.syntax.types import ParsedFile

STALE_SHARE = 0.15  # of the body that may be masked or told again before a new layout is worth it; guessed
STALE_TOKENS = 512


@dataclass(frozen=True, slots=True)
class Focus:
    """Where the user works: the place of the last edit or of the cursor that asks."""

    path: str
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Erratum:
    """A chunk that is not in the body as it reads now. `key` is the chunk's own key."""

    path: str
    key: str
    segment: Segment


@dataclass(frozen=True, slots=True)
class _File:
    """What is known of a changed file: the keys that read as they did, and the parse they come from."""

    parsed: ParsedFile | None
    live: frozenset[str]


@dataclass(frozen=True)
class Resident:
    """One state of the prompt. `with_index` is the only way from one to the next."""

    layout: Layout
    frame: Frame
    base: Index
    index: Index
    errata: tuple[Erratum, ...] = ()
    hole: Hole | None = None
    changed: Mapping[str, _File] | None = None

    @classmethod
    def start(cls, layout: Layout, index: Index, frame: Frame) -> Resident:
        """The state right after a layout: nothing changed, nothing edited."""
        return cls(layout=layout, frame=frame, base=index, index=index, changed={})

    def head(self) -> Prompt:
        """Preamble, visible body and errata: the part of every prompt that all features share."""
        return self._head

    @cached_property
    def _head(self) -> Prompt:
        hidden = self._hidden
        body = tuple(s for e in self.layout.entries for s in _visible(e, hidden.get(e.path)))
        return (*self.frame.head, *body, *(e.segment for e in self.errata))

    @cached_property
    def stale(self) -> bool:
        """Whether so much is masked or told again that a new layout should be made when nobody waits."""
        moved = sum(estimate([e.segment for e in self.errata]))
        hidden = self._hidden
        for entry in self.layout.entries:
            live = hidden.get(entry.path)
            if live is not None and not (self.hole and self.hole.path == entry.path):
                moved += sum(estimate([s for s in entry.chunks if s not in _visible(entry, live)]))
        return moved > max(STALE_TOKENS, STALE_SHARE * self.layout.n_tokens)

    @cached_property
    def _hidden(self) -> dict[str, frozenset[str]]:
        """For files that are not as they were: the keys of the chunks that may still be seen."""
        hidden = {path: state.live for path, state in (self.changed or {}).items()}
        if self.hole:
            hidden[self.hole.path] = self.hole.outside
        return hidden

    def with_index(self, index: Index, focus: Focus | None) -> Resident:
        """The state after edits. The hole follows the focus; what leaves it changed becomes an erratum."""
        hole = self._next_hole(index, focus)
        changed = dict(self.changed or {})
        for path in _differing(self.index, index) | {h.path for h in (self.hole, hole) if h}:
            if hole and path == hole.path:
                changed.pop(path, None)
            else:
                changed[path] = _state(path, self.base, index)
        changed = {p: s for p, s in changed.items() if index.files.get(p) is not self.base.files.get(p)}
        after = replace(self, index=index, hole=hole, changed=changed)
        return replace(after, errata=after._next_errata())

    def _next_hole(self, index: Index, focus: Focus | None) -> Hole | None:
        hole = self.hole
        if hole and (parsed := index.files.get(hole.path)):
            offset = focus.offset if focus and focus.path == hole.path else None
            if focus is None or focus.path == hole.path:
                moved = moved_hole(hole, parsed.text, offset)
                if moved:
                    return moved
        if focus is None or focus.path not in index.files:
            return None
        parsed = index.files[focus.path]
        return open_hole(parsed, _keys(parsed), focus.offset)

    def _next_errata(self) -> tuple[Erratum, ...]:
        """Keeps what is still true, in place; appends what is new. Never reorders."""
        wanted = self._untold()
        kept = tuple(e for e in self.errata if (e.path, e.key) in wanted)
        told = {(e.path, e.key) for e in kept}
        fresh = tuple(wanted[pair] for pair in wanted if pair not in told)
        return kept + fresh

    def _untold(self) -> dict[tuple[str, str], Erratum]:
        """Every chunk of a changed file that the body does not show as it reads now."""
        found: dict[tuple[str, str], Erratum] = {}
        for path, state in (self.changed or {}).items():
            if state.parsed is None:
                gone = Segment(Region.ERRATA, file_header(path, "deleted"))
                found[path, gone.key] = Erratum(path=path, key=gone.key, segment=gone)
                continue
            for segment in chunk_segments(state.parsed):
                if segment.key not in state.live and segment.text.strip():
                    told = Segment(Region.ERRATA, file_header(path, "changed") + segment.text)
                    found[path, segment.key] = Erratum(path=path, key=segment.key, segment=told)
        if self.hole:
            found |= self._beside_hole(self.hole)
        return found

    def _beside_hole(self, hole: Hole) -> dict[tuple[str, str], Erratum]:
        """Chunks of the edited file outside the hole that the body does not show: they were told before it opened."""
        base = self.base.files.get(hole.path)
        known = frozenset(_keys(base)) if base else frozenset()
        missing = hole.outside - known
        if not missing:
            return {}
        kept = {e.key: e for e in self.errata if e.path == hole.path and e.key in missing}
        parsed = self.index.files[hole.path]
        for segment in chunk_segments(parsed):
            if segment.key in missing and segment.key not in kept and segment.text.strip():
                told = Segment(Region.ERRATA, file_header(hole.path, "changed") + segment.text)
                kept[segment.key] = Erratum(path=hole.path, key=segment.key, segment=told)
        return {(e.path, e.key): e for e in kept.values()}


def _keys(parsed: ParsedFile) -> tuple[str, ...]:
    """One key for each chunk."""
    return tuple(s.key for s in chunk_segments(parsed))


def _state(path: str, base: Index, index: Index) -> _File:
    now, before = index.files.get(path), base.files.get(path)
    known = frozenset(_keys(before)) if before else frozenset()
    return _File(now, known & frozenset(_keys(now)) if now else frozenset())


def _differing(a: Index, b: Index) -> set[str]:
    return {p for p in {*a.files, *b.files} if a.files.get(p) is not b.files.get(p)}


def _visible(entry: FileEntry, live: frozenset[str] | None) -> tuple[Segment, ...]:
    """A file's segments without what is masked; a file of which nothing is left loses its header too."""
    header = (entry.header,) if entry.header else ()
    if live is None:
        return (*header, *entry.chunks)
    seen = tuple(s for s, key in zip(entry.chunks, entry.keys, strict=True) if key in live or not key)
    return (*header, *seen) if seen else ()
