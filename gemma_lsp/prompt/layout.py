"""The body: which files stand in the prompt, in which form, in which order, and why. Pure; any thread.

Forms: in full, as an outline (signatures and docstrings), as one line of names, or not at all. The order is
stable files first, because whatever changes costs what stands to its right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property, lru_cache

from gemma_lsp.prompt.frame import file_header
from gemma_lsp.prompt.segments import Region, Segment
from gemma_lsp.syntax.index import Index
from gemma_lsp.syntax.order import EditOdds, relevance, stable_order
from gemma_lsp.syntax.skeleton import map_line, skeleton
from gemma_lsp.syntax.types import ParsedFile

BYTES_PER_TOKEN = 2.9  # Python through Gemma's tokeniser; measured, see docs/design/llama-facts.md
KEEP_BONUS = 1.25  # a file that is in full already loses its place only to one a quarter more relevant; guessed
AT_WORK = 0.5  # of the budget, for files in full that are open or were edited lately; guessed, as are the next two
RELEVANT = 0.5  # of what is left then, for other files in full
OUTLINED = 0.75  # of what is left then, for outlines
Counter = Callable[[Sequence[Segment]], list[int]]


class Form(StrEnum):
    """How a file stands in the body."""

    FULL = "full"
    SKELETON = "skeleton"
    MAP = "map"
    ABSENT = "absent"


_RICHNESS = {Form.ABSENT: 0, Form.MAP: 1, Form.SKELETON: 2, Form.FULL: 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutOptions:
    """What the layout depends on beside the index. `previous` gives the hysteresis."""

    budget_tokens: int
    open_paths: tuple[str, ...] = ()
    recent_paths: tuple[str, ...] = ()
    volatility: Mapping[str, float] = field(default_factory=dict)
    previous: Layout | None = None


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file's place in the body.

    `chunks` are the segments after the header; `keys` names, for each of them, the chunk (by its full text's key) that
    it stands for, or "" where it stands for the whole file.
    """

    path: str
    form: Form
    reason: str
    header: Segment | None = None
    chunks: tuple[Segment, ...] = ()
    keys: tuple[str, ...] = ()
    n_tokens: int = 0


@dataclass(frozen=True)
class Layout:
    """The body in order, absent files last. `n_tokens` is the body's size as counted or estimated."""

    entries: tuple[FileEntry, ...]
    n_tokens: int
    budget: int

    @cached_property
    def by_path(self) -> dict[str, FileEntry]:
        """Entries by path."""
        return {entry.path: entry for entry in self.entries}

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        """The body's segments in order."""
        return tuple(s for e in self.entries for s in (*((e.header,) if e.header else ()), *e.chunks))


def estimate(segments: Sequence[Segment]) -> list[int]:
    """Token counts guessed from the length, until the engine has counted."""
    return [max(1, round(len(s.text.encode()) / BYTES_PER_TOKEN)) for s in segments]


def chunk_segments(parsed: ParsedFile) -> tuple[Segment, ...]:
    """A file's chunks as body segments, one each; they end their last line, so that the next header starts one."""
    content = parsed.text.content
    return tuple(_segment(content[chunk.span.start : chunk.span.end]) for chunk in parsed.chunks)


@lru_cache(maxsize=2048)
def _segment(text: str) -> Segment:
    """One object for each text: a file's chunks are asked for on each keystroke, and almost all are the same."""
    return Segment(Region.BODY, _whole_lines(text))


def _whole_lines(text: str) -> str:
    return text if text.endswith("\n") else text + "\n"


def candidates(index: Index) -> tuple[Segment, ...]:
    """Every segment that a layout of this index may use: what to have counted beforehand."""
    found: list[Segment] = []
    for path in index.files:
        for form in (Form.FULL, Form.SKELETON, Form.MAP):
            header, chunks, _ = draft(index, path, form)
            found += [header, *chunks] if header else chunks
    return tuple(dict.fromkeys(found))


def plan_layout(index: Index, options: LayoutOptions, count: Counter = estimate) -> Layout:
    """Chooses forms within the budget and the order. Deterministic for the same arguments."""
    sizes = {path: _sizes(index, path, count) for path in index.files}
    rank = _rank(index, options)
    forms, reasons = _choose(sizes, rank, options)
    recency = {path: 1 / (1 + place) for place, path in enumerate(options.recent_paths)}
    odds = EditOdds(volatility=options.volatility, open_paths=frozenset(options.open_paths), recency=recency)
    order = stable_order(index, odds)
    entries = [_entry(index, path, forms[path], reasons[path], sizes[path]) for path in order]
    present = [e for e in entries if e.form is not Form.ABSENT]
    absent = [e for e in entries if e.form is Form.ABSENT]
    return Layout((*present, *absent), sum(e.n_tokens for e in present), options.budget_tokens)


def _rank(index: Index, options: LayoutOptions) -> list[str]:
    """Paths, the most relevant to the work at hand first."""
    focus = tuple(dict.fromkeys((*options.open_paths, *options.recent_paths)))
    score = dict(relevance(index, focus))
    if options.previous:
        for entry in options.previous.entries:
            if entry.form is Form.FULL and entry.path in score:
                score[entry.path] *= KEEP_BONUS
    first = dict.fromkeys(options.recent_paths, 1) | dict.fromkeys(options.open_paths, 0)
    return sorted(index.files, key=lambda p: (first.get(p, 2), -score.get(p, 0.0), p))


def _choose(
    sizes: Mapping[str, Mapping[Form, int]], rank: Sequence[str], options: LayoutOptions
) -> tuple[dict[str, Form], dict[str, str]]:
    """What one works on and what is most relevant to it in full, more as outlines, and the rest by name."""
    if sum(s[Form.FULL] for s in sizes.values()) <= options.budget_tokens:
        return dict.fromkeys(sizes, Form.FULL), dict.fromkeys(sizes, "the whole repository fits")
    chosen, at_work = _Chosen(sizes, options.budget_tokens), {*options.open_paths, *options.recent_paths}
    chosen.add([path for path in rank if path in at_work], Form.FULL, AT_WORK)
    chosen.add(rank, Form.FULL, RELEVANT)
    chosen.add(rank, Form.SKELETON, OUTLINED)
    chosen.add(rank, Form.MAP, 1.0)
    for form in (Form.SKELETON, Form.FULL):
        chosen.improve(rank, form)
    places = {path: place for place, path in enumerate(rank)}
    reasons = {path: _reason(path, form, places[path], len(rank), options) for path, form in chosen.forms.items()}
    return chosen.forms, reasons


class _Chosen:
    """Forms, and how much of the budget they leave."""

    def __init__(self, sizes: Mapping[str, Mapping[Form, int]], budget: int) -> None:
        self._sizes, self._left = sizes, budget
        self.forms = dict.fromkeys(sizes, Form.ABSENT)

    def add(self, paths: Iterable[str], form: Form, share: float) -> None:
        """Those of the absent files that fit into a share of what is left."""
        kept = self._left - int(share * self._left)
        for path in paths:
            if self.forms[path] is Form.ABSENT:
                self._set(path, form, self._left - kept)

    def improve(self, paths: Iterable[str], form: Form) -> None:
        """Files that stand in a lesser form, as long as there is room."""
        for path in paths:
            if _RICHNESS[self.forms[path]] < _RICHNESS[form]:
                self._set(path, form, self._left)

    def _set(self, path: str, form: Form, room: int) -> None:
        sizes = self._sizes[path]
        # Of a short file the outline is no shorter than the whole.
        form = max(
            (f for f in _RICHNESS if f is not Form.ABSENT and sizes[f] <= sizes[form]), key=_RICHNESS.__getitem__
        )
        extra = sizes[form] - sizes[self.forms[path]]
        if extra <= room:
            self.forms[path], self._left = form, self._left - extra


def _reason(path: str, form: Form, place: int, n: int, options: LayoutOptions) -> str:
    if form is Form.ABSENT:
        return "no room in the budget"
    if path in options.open_paths:
        return "open in the editor"
    if path in options.recent_paths:
        return "edited recently"
    return f"relevance {place + 1} of {n}" + ("" if form is Form.FULL else ", no room for more")


def draft(index: Index, path: str, form: Form) -> tuple[Segment | None, tuple[Segment, ...], tuple[str, ...]]:
    """Header, segments and the keys of the chunks that they stand for."""
    parsed = index.files[path]
    if form is Form.FULL:
        chunks = tuple(s for s in chunk_segments(parsed) if s.text.strip())
        return Segment(Region.BODY, file_header(path)), chunks, tuple(s.key for s in chunks)
    if form is Form.SKELETON:
        short = zip(skeleton(parsed), chunk_segments(parsed), strict=True)
        pairs = [(Segment(Region.BODY, _whole_lines(text)), whole.key) for text, whole in short if text.strip()]
        header = Segment(Region.BODY, file_header(path, "outline"))
        return header, tuple(s for s, _ in pairs), tuple(k for _, k in pairs)
    if form is Form.MAP:
        return None, (Segment(Region.BODY, _whole_lines(map_line(parsed))),), ("",)
    return None, (), ()


def _sizes(index: Index, path: str, count: Counter) -> dict[Form, int]:
    sizes = {Form.ABSENT: 0}
    for form in (Form.MAP, Form.SKELETON, Form.FULL):
        header, chunks, _ = draft(index, path, form)
        sizes[form] = sum(count((header, *chunks) if header else chunks))
    return sizes


def _entry(index: Index, path: str, form: Form, reason: str, sizes: Mapping[Form, int]) -> FileEntry:
    header, chunks, keys = draft(index, path, form)
    return FileEntry(path=path, form=form, reason=reason, header=header, chunks=chunks, keys=keys, n_tokens=sizes[form])
