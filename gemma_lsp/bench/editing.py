"""The prompt's life under edits, as the server leads it: index, layout, resident. Pure but for the token counter.

Also here: the prompts that the same moment would have under other designs, to compare with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from gemma_lsp.app.laying import budget
from gemma_lsp.bench.history import History
from gemma_lsp.engine.messages import ModelInfo
from gemma_lsp.prompt.folding import folded
from gemma_lsp.prompt.frame import file_header, frame_for
from gemma_lsp.prompt.hole import Hole
from gemma_lsp.prompt.layout import Form, Layout, LayoutOptions, chunk_segments, plan_layout
from gemma_lsp.prompt.resident import Focus, Resident
from gemma_lsp.prompt.segments import Prompt, Region, Segment
from gemma_lsp.syntax.index import Index, build
from gemma_lsp.syntax.skeleton import map_line, skeleton
from gemma_lsp.syntax.types import Chunk, ParsedFile
from gemma_lsp.text import Text
from gemma_lsp.workspace.snapshot import WorkspaceSnapshot

_RECENT = 8
Tokenize = Callable[[str, bool], list[int]]


class Arm(StrEnum):
    """A way to keep a prompt true to edits."""

    ERRATA = "errata"  # mask what changed, tell it again behind the body
    EARLY = "early"  # the same as the server does it: what would keep the user waiting is answered from the file alone
    RECOMPUTE = "recompute"  # the current text in the body, evaluated again from the first difference
    SPLICE = "splice"  # the current text in the body, each change evaluated in its place, the rest moved
    BOTH = "both"  # told first, and spliced into the body when nobody waits
    STALE = "stale"  # the body as it was at the start, and nothing told
    PATH_ORDER = "path-order"  # recompute, with the files in the order of their paths

    @property
    def exact(self) -> bool:
        """Whether cells that were computed with other text in sight are never used."""
        return self in (Arm.RECOMPUTE, Arm.PATH_ORDER)


FOLDED = (Arm.SPLICE, Arm.BOTH)
"""The arms that need a cache whose cells can be moved; measured with facts."""
COMPARED = (Arm.ERRATA, Arm.RECOMPUTE, Arm.STALE)
"""The arms that differ in what the model sees."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked at one moment: each arm's head, the same tail, and what really stands there. `early` stands in."""

    label: str
    heads: Mapping[Arm, Prompt]
    tail: Prompt
    truth: str
    stop: tuple[str, ...] = ()
    early: Prompt = ()


@dataclass(slots=True)
class TokenCounter:
    """Counts segments by content, each once."""

    tokenize: Tokenize
    known: dict[tuple[str, bool], int] = field(default_factory=dict)

    def __call__(self, segments: Sequence[Segment]) -> list[int]:
        """Tokens of each segment, as far as it is shown."""
        return [self._count(segment.visible, segment.special) for segment in segments]

    def _count(self, text: str, special: bool) -> int:
        key = (text, special)
        if key not in self.known:
            self.known[key] = len(self.tokenize(text, special))
        return self.known[key]

    def total(self, prompt: Prompt) -> int:
        """Tokens of a prompt."""
        return sum(self(prompt))


class Editing:
    """A repository being edited. Invariant: `resident.index` is the current text of every file.

    `room`: tokens of the budget that a new layout leaves to what is folded into it later.
    """

    def __init__(self, history: History, model: ModelInfo, count: TokenCounter, room: int = 0) -> None:
        self.model, self._volatility, self._room = model, history.volatility, room
        self.count = count
        self.frame = frame_for(model, history.name)
        index = build(WorkspaceSnapshot(root=None, name=history.name, files=history.files))
        self._recent: tuple[str, ...] = ()
        self.first = Resident.start(self._planned(index, None), index, self.frame)
        self.resident = self.first

    @property
    def n_ctx(self) -> int:
        """Tokens of context."""
        return self.model.n_ctx

    def edit(self, path: str, text: Text | None, offset: int) -> None:
        """One edit: the file's new text (None removes it) and where in it the edit began."""
        index = self.resident.index
        index = index.with_changes(index.snapshot.with_changes({path: text}))
        self.resident = self.resident.with_index(index, Focus(path, offset) if text is not None else None)
        self._recent = (path, *(p for p in self._recent if p != path))[:_RECENT]

    def look(self, path: str, offset: int) -> None:
        """The cursor goes somewhere without an edit."""
        self.resident = self.resident.with_index(self.resident.index, Focus(path, offset))

    def lay_out(self) -> None:
        """A new layout of the current text; the hole opens again where it was."""
        index, hole = self.resident.index, self.resident.hole
        self.resident = Resident.start(self._planned(index, self.resident.layout), index, self.frame)
        if hole and hole.path in index.files:
            self.look(hole.path, hole.span.start)

    def fold(self) -> bool:
        """What is told goes back into the body, as far as there is room: what splices make of it."""
        resident, hole = self.resident, self.resident.hole
        layout = folded(resident.layout, resident.base, resident.index, self.count)
        if layout is None:
            return False
        self.resident = Resident.start(layout, resident.index, self.frame)
        if hole and hole.path in resident.index.files:
            self.look(hole.path, hole.span.start)
        return True

    def head(self, arm: Arm) -> Prompt:
        """The head of the prompt as an arm has it now."""
        match arm:
            case Arm.ERRATA | Arm.EARLY | Arm.SPLICE | Arm.BOTH:
                return self.resident.head()
            case Arm.RECOMPUTE:
                return (*self.frame.head, *_body_now(self._order(), self.resident), *self.resident.end)
            case Arm.PATH_ORDER:
                return (*self.frame.head, *_body_now((), self.resident), *self.resident.end)
            case Arm.STALE:
                return (*self.frame.head, *_body_then(self.first, self.resident), *self.resident.end)

    def _order(self) -> tuple[str, ...]:
        """The files of the first layout in its order."""
        return tuple(entry.path for entry in self.first.layout.entries)

    def fits(self, question: Question, more: int) -> bool:
        """Whether every arm's prompt, and `more` tokens, fit into the context."""
        heads = (self.count.total((*head, *question.tail)) for head in question.heads.values())
        return max(heads) + more < self.model.n_ctx

    def _planned(self, index: Index, previous: Layout | None) -> Layout:
        recent = tuple(p for p in self._recent if p in index.files)
        whole = budget(self.model, 0) - self.count.total(self.frame.head)
        options = LayoutOptions(
            budget_tokens=whole - self._room,
            open_paths=recent[:1],
            recent_paths=recent,
            volatility=self._volatility,
            previous=previous,
        )
        return replace(plan_layout(index, options, self.count), budget=whole)


def _body_now(first: Sequence[str], resident: Resident) -> Prompt:
    """The text of `resident` with every chunk at its place and no errata; `first` come first, then by path."""
    layout, files, hole = resident.layout, resident.index.files, resident.hole
    order = dict.fromkeys((*first, *sorted(files)))
    found: list[Segment] = []
    for path in order:
        if path in files:
            entry = layout.by_path.get(path)
            form = entry.form if entry else Form.ABSENT
            change = resident.changes.get(path)
            told = (
                {n for hunk in change.hunks for n in range(hunk.first, hunk.first + len(hunk.lines))}
                if change
                else set()
            )
            found += _file_now(files[path], form, told, hole if hole and hole.path == path else None)
    return tuple(found)


def _file_now(parsed: ParsedFile, form: Form, told: set[int], hole: Hole | None) -> list[Segment]:
    """A file in its form; lines that errata tell stand in their place, so that all arms know the same."""
    shown: list[Segment] = []
    line = 0
    for chunk, short, whole in zip(parsed.chunks, skeleton(parsed), chunk_segments(parsed), strict=True):
        own = range(line, line := line + whole.text.count("\n"))
        if (hole and _inside(chunk, hole)) or not whole.text.strip():
            continue
        if form is Form.FULL:
            shown.append(whole)
            continue
        if form is Form.SKELETON and short.strip():
            shown.append(Segment(Region.BODY, short if short.endswith("\n") else short + "\n"))
        if not told.isdisjoint(own):
            lines = whole.text.removesuffix("\n").split("\n")
            text = "".join(line + "\n" for n, line in zip(own, lines, strict=True) if n in told)
            shown.append(Segment(Region.BODY, text))
    names = [Segment(Region.BODY, map_line(parsed).rstrip("\n") + "\n")] if form is Form.MAP else []
    note = "outline" if form is Form.SKELETON else ""
    return [*names, Segment(Region.BODY, file_header(parsed.path, note)), *shown] if shown else names


def _body_then(first: Resident, now: Resident) -> Prompt:
    """The body as it was laid out first, without what the hole stands for: a model copies what it sees."""
    found: list[Segment] = []
    for entry in first.layout.entries:
        gone = _stood_for(first, now, now.hole) if now.hole and now.hole.path == entry.path else frozenset()
        shown = [s for s, key in zip(entry.chunks, entry.keys, strict=True) if key not in gone]
        if shown:
            found += [*([entry.header] if entry.header else []), *shown]
    return tuple(found)


def _stood_for(first: Resident, now: Resident, hole: Hole) -> frozenset[str]:
    """Keys of the first layout's chunks that are the hole's by name and do not read on unchanged outside of it."""
    then, parsed = first.index.files.get(hole.path), now.index.files[hole.path]
    if then is None:
        return frozenset()
    names = {(c.kind, c.symbol) for c in parsed.chunks if _inside(c, hole)}
    outside = {s.key for c, s in zip(parsed.chunks, chunk_segments(parsed), strict=True) if not _inside(c, hole)}
    pairs = zip(then.chunks, chunk_segments(then), strict=True)
    return frozenset(s.key for c, s in pairs if (c.kind, c.symbol) in names and s.key not in outside)


def _inside(chunk: Chunk, hole: Hole) -> bool:
    return hole.span.start < chunk.span.end and chunk.span.start < hole.span.end
