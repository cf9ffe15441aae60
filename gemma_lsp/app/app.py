"""Settings, engine, documents and workspaces: whoever owns what, and who is told when it changes.

Knows no protocol. One object for each process; only the event loop's thread may use it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from gemma_lsp.app.engine_host import EngineHost
from gemma_lsp.app.garbage import Sweeper
from gemma_lsp.app.member import Member
from gemma_lsp.app.places import deepest_root, loose_path
from gemma_lsp.app.ports import EngineFactory, Host
from gemma_lsp.app.warming import IDLE_S
from gemma_lsp.app.workspace import Place, Workspace
from gemma_lsp.base.errors import EngineUnavailable, PromptTooLong
from gemma_lsp.config.load import Loaded, Problem, Source, merge, new_problems, repository_source
from gemma_lsp.config.schema import Settings
from gemma_lsp.features.context import FeatureContext, Memory
from gemma_lsp.features.habits import Habits
from gemma_lsp.text import PositionEncoding
from gemma_lsp.workspace.mirror import DocumentProblem, OpenDocument, OpenDocuments, RawChange

log = logging.getLogger(__name__)
LOOSE = "loose documents"
SETTINGS = "pyproject.toml"  # where a repository has its own
T = TypeVar("T")


class App:
    """Invariant: an open document has at most one place, in the deepest folder around it."""

    def __init__(
        self,
        engine_factory: EngineFactory,
        host: Host,
        *,
        watch_disk: bool = False,
        idle_s: float = IDLE_S,
        habits: Habits | None = None,
    ) -> None:
        self.engine = EngineHost(engine_factory, host)
        self.engine.on_lost, self.engine.on_early = self._engine_lost, self._answered_early
        self.documents = OpenDocuments()
        self.host = host
        self.settings = Settings()
        self.watch_disk = watch_disk
        self.habits = habits or Habits()
        self._idle_s = idle_s
        self._sweeper = Sweeper()
        self._started = False
        self._sources: tuple[Source, ...] = ()
        self._reported: set[Problem] = set()
        self._members: dict[Path | None, Member] = {}
        self._paths: dict[str, Path | None] = {}  # of open documents, by uri
        self._places: dict[str, Place] = {}  # of those that may enter a prompt
        self._refused: set[tuple[str, str]] = set()  # of the others, with the reason: each is logged once

    # -- life ------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begins to read the folders and to load the model, behind the answers."""
        self._started = True
        self._sweeper.start()
        await self.engine.use(self.settings)
        for member in self._members.values():
            member.start(watch_disk=self.watch_disk)

    async def close(self) -> None:
        """Stops everything and lets go of the engine."""
        self._started = False
        await self._sweeper.stop()
        await asyncio.gather(*(member.stop() for member in self._members.values()))
        await self.engine.close()

    async def configure(self, sources: Sequence[Source]) -> None:
        """Other settings: whatever depends on what changed is done again, and nothing else."""
        before, self._sources = self.settings, tuple(sources)
        self.settings = self._merged()
        for root, member in self._members.items():
            member.configure(self._merged(root))
        if self._started and (before.model, before.engine) != (self.settings.model, self.settings.engine):
            await self.engine.use(self.settings)
            for member in self._members.values():
                member.warming.model_changed()
                member.learning.forgotten()
        self.host.state_changed()

    def engine_lost(self) -> None:
        """A request found that the engine died: it is started again and reads the prompt again."""
        self.engine.lost()
        self._engine_lost()

    # -- folders ---------------------------------------------------------------------------------------------------

    @property
    def workspaces(self) -> tuple[Workspace, ...]:
        """The workspaces, folders first."""
        members = sorted(self._members.items(), key=lambda item: (item[0] is None, str(item[0])))
        return tuple(member.workspace for _, member in members)

    def add_folder(self, root: Path, name: str) -> None:
        """A workspace folder was opened. The open documents in it move to it."""
        if root not in self._members:
            self._add(root, name)
            self._settle_documents()

    def remove_folder(self, root: Path) -> Awaitable[None]:
        """A workspace folder was closed. Its open documents move to the folder around it, or to none.

        It is gone at once; what is returned waits until its work has stopped, and must be awaited.
        """
        member = self._members.pop(root, None)
        if member is not None:
            self._settle_documents()
        return member.stop() if member is not None else asyncio.sleep(0)

    def files_changed(self, paths: Iterable[Path]) -> None:
        """The editor saw that something happened to these files or folders on disk."""
        inside: dict[Path, set[str]] = {}
        for path in paths:
            for root in self._members:
                if root is not None and path.is_relative_to(root):
                    inside.setdefault(root, set()).add(path.relative_to(root).as_posix())
        for root, relative in inside.items():
            self.disk_changed(self._members[root], relative)

    # -- what a member finds out -----------------------------------------------------------------------------------

    def disk_changed(self, member: Member, paths: set[str], *, rescan: bool = False) -> None:
        """Something happened to these paths on disk; the repository's settings may be among them."""
        if rescan or SETTINGS in paths:
            member.configure(self._merged(member.workspace.root))
        if rescan:
            member.rescan()
        else:
            member.disk_changed(paths)

    def readmit(self, member: Member) -> None:
        """The rules are others: an open document may have to leave the prompt, or may enter it now."""
        for document in self.documents:
            owner, path = self._member_of(document)
            stays = document.uri in self._places and member.refusal(path, document.text) is None
            if owner is member and not stays:
                self._show(document)

    # -- documents -------------------------------------------------------------------------------------------------

    def open(self, uri: str, path: Path | None, language_id: str, version: int, raw: str) -> None:
        """The editor opened a document; `path` is None for one that is no file."""
        self._paths[uri] = path
        self._show(self.documents.open(uri, version, language_id, raw))

    def change(self, uri: str, version: int, changes: Sequence[RawChange], encoding: PositionEncoding) -> None:
        """The editor changed a document. What cannot be followed is logged: nobody waits for an answer."""
        self._sweeper.touched()
        document = self.documents.change(uri, version, changes, encoding)
        if isinstance(document, DocumentProblem):
            log.warning("%s", document.message)
        else:
            self._show(document)

    def close_document(self, uri: str) -> None:
        """The editor closed a document: the disk counts again."""
        document = self.documents.close(uri)
        if isinstance(document, DocumentProblem):
            log.warning("%s", document.message)
            return
        member, path = self._member_of(document)
        member.closed(path)
        self._places.pop(uri, None)
        self._paths.pop(uri, None)
        self._refused = {told for told in self._refused if told[0] != uri}

    def place(self, uri: str) -> Place | None:
        """Where an open document belongs; None for one that may not enter a prompt."""
        return self._places.get(uri)

    # -- answering -------------------------------------------------------------------------------------------------

    def context(self, workspace: Workspace) -> FeatureContext | None:
        """The state to answer from, or None while there is no model."""
        member = self._members.get(workspace.root)
        return member.context() if member is not None else None

    async def answer(
        self, workspace: Workspace, ask: Callable[[FeatureContext], Awaitable[T]], *, insists: bool = True
    ) -> T:
        """What `ask` answers, waiting for the model. Raises `ModelError` or `EngineError`; may be cancelled.

        Where what was told since the last layout leaves no room for it, it is asked again on a new layout, unless
        nobody `insists`.
        """
        try:
            return await self._asked(workspace, ask)
        except PromptTooLong:
            member = self._members.get(workspace.root)
            if not insists or member is None or not await member.warming.make_room():
                raise
        return await self._asked(workspace, ask)

    # -- inside ----------------------------------------------------------------------------------------------------

    async def _asked(self, workspace: Workspace, ask: Callable[[FeatureContext], Awaitable[T]]) -> T:
        try:
            await self.engine.ready()
            self._look(workspace)
            ctx = self.context(workspace)
            if ctx is not None:
                with workspace.asking():
                    return await ask(ctx)
        except EngineUnavailable:
            self.engine_lost()
            raise
        raise EngineUnavailable("the workspace or the engine was closed meanwhile")

    def _engine_lost(self) -> None:
        for member in self._members.values():
            member.warming.engine_lost()
            member.learning.forgotten()

    def _answered_early(self, key: str) -> None:
        for member in self._members.values():
            if member.workspace.key == key:
                member.warming.answered_early()

    def _look(self, workspace: Workspace) -> None:
        """There is a model: it may be one that could not be loaded before."""
        if (member := self._members.get(workspace.root)) is not None:
            member.warming.look()

    def _add(self, root: Path | None, name: str) -> Member:
        member = Member(
            root,
            name,
            self._merged(root),
            engine=self.engine,
            host=self.host,
            family=self,
            idle_s=self._idle_s,
        )
        member.memory = Memory(habits=self.habits)
        self._members[root] = member
        if self._started:
            member.start(watch_disk=self.watch_disk)
        return member

    def _merged(self, root: Path | None = None) -> Settings:
        loaded: Loaded = merge((*self._sources, *((repository_source(root),) if root else ())))
        for problem in new_problems(loaded.problems, self._reported):
            self.host.warn(str(problem))
        return loaded.settings

    def _settle_documents(self) -> None:
        """Gives each open document its place anew."""
        for document in self.documents:
            if self._member_of(document)[0].workspace is not getattr(self.place(document.uri), "workspace", None):
                self._hide(document.uri)
                self._show(document)

    def _member_of(self, document: OpenDocument) -> tuple[Member, str]:
        """The workspace that a document belongs to, and its path there."""
        uri, path = document.uri, self._paths.get(document.uri)
        root = deepest_root(path, (r for r in self._members if r is not None))
        if path is not None and root is not None:
            return self._members[root], path.relative_to(root).as_posix()
        loose = self._members.get(None) or self._add(None, LOOSE)
        known = self._places.get(uri)
        if known is not None and known.workspace is loose.workspace:
            return loose, known.path
        taken = {place.path for place in self._places.values() if place.workspace is loose.workspace}
        return loose, loose_path(uri, path, document.language_id, taken)

    def _show(self, document: OpenDocument) -> None:
        """The document's present text enters its workspace, if it may."""
        member, path = self._member_of(document)
        refusal = member.refusal(path, document.text)
        if refusal is None:
            member.edited(path, document.text)
            self._places[document.uri] = Place(member.workspace, path)
        else:
            if (document.uri, refusal) not in self._refused:
                self._refused.add((document.uri, refusal))
                log.info("%s stays out of the prompt, so there are no suggestions in it: %s", path, refusal)
            self._places.pop(document.uri, None)
            member.withdraw(path, refusal)

    def _hide(self, uri: str) -> None:
        """The document leaves its workspace."""
        place = self._places.pop(uri, None)
        member = self._members.get(place.workspace.root) if place is not None else None
        if place is not None and member is not None:
            member.closed(place.path)
