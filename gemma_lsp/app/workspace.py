"""One folder of the session, or the documents that belong to none: its files, index and resident prompt.

The owner of their truth; only the event loop's thread may use it. Deliberately not here: when to read the disk and
when to ask the engine (`upkeep`), and what is answered from the result (`answers`).
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

from gemma_lsp.config.schema import Settings
from gemma_lsp.engine.messages import ModelInfo, Progress
from gemma_lsp.features.memory import Learned
from gemma_lsp.prompt.frame import Frame, frame_for
from gemma_lsp.prompt.layout import Layout
from gemma_lsp.prompt.resident import Focus, Resident
from gemma_lsp.syntax.index import Index
from gemma_lsp.syntax.parse import Parser
from gemma_lsp.text import Text
from gemma_lsp.text.common import common_suffix
from gemma_lsp.workspace.snapshot import WorkspaceSnapshot

MAX_RECENT = 8
NO_LAYOUT = Layout((), 0, 0)


class Phase(StrEnum):
    """What a workspace is busy with, for people."""

    NEW = "new"
    INDEXING = "indexing"
    WAITING = "waiting for the model"
    LAYING_OUT = "laying out"
    WARMING = "warming"
    READY = "ready"
    PAUSED = "paused"
    FAILED = "failed"

    @property
    def settled(self) -> bool:
        """Whether the prompt is as resident as it will be for now."""
        return self in (Phase.READY, Phase.PAUSED, Phase.FAILED)


@dataclass(frozen=True, slots=True)
class Place:
    """A file of a workspace."""

    workspace: Workspace
    path: str


class Workspace:
    """Invariant: `index` is of `snapshot`, and `resident`, once there is one, of `index`."""

    def __init__(self, *, name: str, root: Path | None, settings: Settings) -> None:
        self.root = root
        self.name = name
        self.key = str(root) if root else f"loose documents of {id(self)}"  # the engine's name for the trunk
        self.settings = settings
        self._phase = Phase.NEW
        self.settled = asyncio.Event()  # set while nobody is about to read the prompt, for good once it is closed
        self.error = ""
        self.warmed_tokens = 0
        self.progress: Progress | None = None  # while the prompt is being read
        self.learned = Learned()
        self.volatility: dict[str, float] = {}  # share of recent commits that touch a file
        self.snapshot = WorkspaceSnapshot(root=root, name=name)
        self.index = Index(self.snapshot, MappingProxyType({}))
        self.resident: Resident | None = None
        self.focus: Focus | None = None
        self.unasked = asyncio.Event()  # set while no answer of several requests is under way
        self.unasked.set()
        self.on_left: Callable[[], None] = lambda: None  # the hole has gone elsewhere: what it held is told
        self.on_laid_out: Callable[[], None] = lambda: None  # there is a new layout, which nothing is asked on yet
        self._n_asking = 0
        self._open: dict[str, Text] = {}
        self._recent: list[str] = []
        self._parser = Parser()

    @property
    def phase(self) -> Phase:
        """What the upkeep of the prompt is busy with; `settled` goes with it."""
        return self._phase

    @phase.setter
    def phase(self, phase: Phase) -> None:
        self._phase = phase
        if phase.settled:
            self.settled.set()
        else:
            self.settled.clear()

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """While an answer is under way: its requests share one head, so no new layout is read meanwhile."""
        self._n_asking += 1
        self.unasked.clear()
        try:
            yield
        finally:
            self._n_asking -= 1
            if not self._n_asking:
                self.unasked.set()

    # -- what the editor does --------------------------------------------------------------------------------------

    def open(self, path: str, text: Text) -> None:
        """The editor owns the file from here on."""
        self._open[path] = text
        self._parser.open(path, text)
        self._take({path: text})

    def edit(self, path: str, text: Text) -> None:
        """The file reads like this now; the place of the edit becomes the focus."""
        before = self._open.get(path)
        self._open[path] = text
        if before is not None and before.content != text.content:
            self.focus = Focus(path, edit_end(before.content, text))
            self._recent = [path, *(p for p in self._recent if p != path)][:MAX_RECENT]
        self._take({path: text})

    def look_at(self, path: str, offset: int) -> None:
        """The user asks for code at this place: if that is outside the hole, the hole moves there."""
        hole = self.resident.hole if self.resident else None
        if hole and hole.path == path and hole.span.start <= offset <= hole.span.end:
            return
        self.focus = Focus(path, offset)
        if self.resident is not None and path in self.index.files:
            self.resident = self.resident.with_index(self.index, self.focus)
            self.on_left()

    def close(self, path: str) -> None:
        """The disk owns the file again; until it is read, the last text counts."""
        self._open.pop(path, None)
        self._parser.close(path)

    @property
    def open_paths(self) -> tuple[str, ...]:
        """Open files, the last edited first."""
        recent = [path for path in self._recent if path in self._open]
        return (*recent, *(path for path in self._open if path not in recent))

    @property
    def recent_paths(self) -> tuple[str, ...]:
        """Files edited in this session, the last first."""
        return tuple(path for path in self._recent if path in self.index.files)

    # -- what the disk says ----------------------------------------------------------------------------------------

    def replace_all(self, index: Index, hidden: Mapping[str, str] = MappingProxyType({})) -> None:
        """The workspace was read anew: takes over its index, with the open documents over it.

        `hidden`: those that may no longer enter the prompt, and why.
        """
        for path in hidden:
            self.close(path)
        known = {path: self.index.files[path] for path in self._open if path in self.index.files}
        self.snapshot = index.snapshot.with_changes(self._open, hidden)
        self._follow(index.with_changes(self.snapshot, known))
        gc.freeze()  # an index holds no cycles, and looking for some would hold a key up for a tenth of a second

    def disk_changed(self, changes: Mapping[str, Text | None], skipped: Mapping[str, str]) -> bool:
        """Files read from the disk; what is open in the editor stays as it is there. Whether anything is new."""
        files, reasons = self.snapshot.files, self.snapshot.skipped
        new = {p: t for p, t in changes.items() if p not in self._open and (p in reasons or files.get(p) != t)}
        out = {p: why for p, why in skipped.items() if p not in self._open and (p in files or reasons.get(p) != why)}
        self._take(new, out)
        return bool(new or out)

    @property
    def open_texts(self) -> Mapping[str, Text]:
        """What the editor owns, as it reads there."""
        return self._open

    def is_open(self, path: str) -> bool:
        """Whether the editor owns the file."""
        return path in self._open

    # -- the prompt ------------------------------------------------------------------------------------------------

    def start_resident(self, layout: Layout, index: Index, frame: Frame) -> None:
        """A new layout, made from `index`: what changed meanwhile is told behind it."""
        resident = Resident.start(layout, index, frame)
        if index is not self.index:
            resident = resident.with_index(self.index, self.focus if self.focus_exists else None)
        self.resident = resident
        self.on_laid_out()

    def ensure_resident(self, model: ModelInfo) -> Resident:
        """The prompt; before the first layout one without a body, so that answers need not wait for it."""
        if self.resident is None:
            self.start_resident(NO_LAYOUT, self.index, frame_for(model, self.name))
        assert self.resident is not None
        return self.resident

    def drop_resident(self) -> None:
        """The prompt is of another model, or of none."""
        self.resident = None
        self.warmed_tokens = 0

    def forget(self) -> None:
        """The folder was closed: lets go of what was read, because nobody looks for cycles in what was frozen."""
        self.settled.set()
        self.drop_resident()
        self.learned = Learned()
        self.snapshot = WorkspaceSnapshot(root=self.root, name=self.name)
        self.index = Index(self.snapshot, MappingProxyType({}))
        self._open.clear()
        self._parser = Parser()

    @property
    def focus_exists(self) -> bool:
        """Whether the file where the user works is still there."""
        return self.focus is not None and self.focus.path in self.index.files

    def _take(self, changes: Mapping[str, Text | None], skipped: Mapping[str, str] = MappingProxyType({})) -> None:
        """The one way from one state to the next."""
        if not changes and not skipped:
            return
        self.snapshot = self.snapshot.with_changes(changes, skipped)
        opened = {p: self._parser.parse(p, t) for p, t in _texts(changes) if p in self._open}
        self._follow(self.index.with_changes(self.snapshot, opened))

    def _follow(self, index: Index) -> None:
        """The index is another, and so is the prompt."""
        self.index = index
        if self.resident is not None:
            self.resident = self.resident.with_index(self.index, self.focus if self.focus_exists else None)


def edit_end(before: str, after: Text) -> int:
    """The offset in `after` at which an edit ended: everything behind it reads as it did, and as much as can be."""
    content, (_, tail) = after.content, after.shared_with(before)
    limit = min(len(before), len(content))
    if tail < limit and before[len(before) - tail - 1] == content[len(content) - tail - 1]:
        tail = common_suffix(before, content, limit)
    return len(content) - tail


def _texts(changes: Mapping[str, Text | None]) -> Iterable[tuple[str, Text]]:
    return ((path, text) for path, text in changes.items() if text is not None)
