"""A workspace with everything that looks after it. Event loop only."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Protocol

from gemma_lsp.app.disk import Disk, NoDisk
from gemma_lsp.app.engine_host import EngineHost
from gemma_lsp.app.indexing import Indexing
from gemma_lsp.app.learning import Learning
from gemma_lsp.app.ports import Host
from gemma_lsp.app.warming import Warming
from gemma_lsp.app.workspace import Workspace
from gemma_lsp.config.schema import Settings
from gemma_lsp.features.context import FeatureContext, Memory
from gemma_lsp.syntax.index import Index
from gemma_lsp.text import Text
from gemma_lsp.workspace.rules import IgnoreRules
from gemma_lsp.workspace.watch import watch


class Family(Protocol):
    """Whoever owns documents and settings, and hears of what a member finds out by itself."""

    def readmit(self, member: Member) -> None:
        """The rules are others: an open document may have to leave the prompt, or may enter it now."""

    def disk_changed(self, member: Member, paths: set[str], *, rescan: bool) -> None:
        """Something happened to these paths on disk. `rescan`: to ignore rules, or to too many."""


class Member:
    """Made stopped; after `start` it runs until `stop`."""

    def __init__(
        self,
        root: Path | None,
        name: str,
        settings: Settings,
        *,
        engine: EngineHost,
        host: Host,
        family: Family,
        idle_s: float,
    ) -> None:
        self.workspace = Workspace(name=name, root=root, settings=settings)
        self.memory = Memory()
        self._engine, self._host, self._family = engine, host, family
        self._disk = Disk(root, settings.index) if root else None
        self._no_disk = NoDisk(settings.index)
        self._rules = self._disk.rules() if self._disk else None  # of the watch
        self._indexing = Indexing(self.workspace, host, self)
        self.warming = Warming(self.workspace, self._indexing, engine, host, idle_s)
        self.learning = Learning(self.workspace, self._indexing, engine, idle_s)
        self.warming.on_read = self.learning.wake
        self.workspace.on_left = self._left
        self.workspace.on_laid_out = self._laid_out
        self._watching: asyncio.Task[None] | None = None
        self._stop_watching = asyncio.Event()

    def start(self, *, watch_disk: bool) -> None:
        """Begins to read the folder and to make it resident."""
        self._indexing.start()
        self.warming.start()
        self.learning.start()
        if watch_disk and self._rules is not None and self._watching is None:
            self._watching = asyncio.create_task(self._watch(self._rules))

    async def stop(self) -> None:
        """Stops for good, waits for it, and lets go of what was read."""
        self._stop_watching.set()
        self.memory.generations.close()
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        await self.learning.stop()
        await self.warming.stop()
        await self._indexing.stop()
        self.workspace.forget()

    def _laid_out(self) -> None:
        self.memory.generations.drop_ahead()

    def _left(self) -> None:
        """The hole has gone elsewhere."""
        self.memory.generations.drop_ahead()
        self.warming.look()

    def refusal(self, path: str, text: Text) -> str | None:
        """Why what the editor has open may not enter the prompt, or None."""
        return (self._disk or self._no_disk).admits(path, text)

    def edited(self, path: str, text: Text) -> None:
        """The editor has this file open with this text."""
        if self.workspace.is_open(path):
            self.workspace.edit(path, text)
        else:
            self.workspace.open(path, text)
        self.memory.edited(path, text.content)
        self.warming.touched()
        self.learning.touched()

    def closed(self, path: str) -> None:
        """The editor let go of a file: the disk says what it holds now."""
        self.memory.closed(path)
        self.workspace.close(path)
        if self._disk is None:
            self.workspace.disk_changed({path: None}, {})
            self.learning.wake()
        else:
            self._indexing.disk_changed({path})

    def withdraw(self, path: str, reason: str) -> None:
        """What the editor has open may no longer enter the prompt."""
        known = self.workspace.snapshot.skipped.get(path)
        if known is None or self.workspace.is_open(path):
            self.workspace.close(path)
            self.workspace.disk_changed({}, {path: reason})
            self.learning.wake()

    def disk_changed(self, paths: set[str]) -> None:
        """Something happened to these paths on disk; what is open in the editor stays as it is there."""
        closed = {path for path in paths if not self.workspace.is_open(path)}
        if closed:
            self._indexing.disk_changed(closed)

    def rescan(self) -> None:
        """The folder is to be read again: what is ignored in it may be something else."""
        self._indexing.rescan()

    def configure(self, settings: Settings) -> None:
        """Other settings: the folder is read again where they say what is read."""
        before, self.workspace.settings = self.workspace.settings, settings
        self.learning.wake()
        if before.index == settings.index:
            return
        self._no_disk = NoDisk(settings.index)
        if self.workspace.root is not None:
            self._disk = Disk(self.workspace.root, settings.index)
            self._indexing.rescan()
        self.warming.lay_out()

    def context(self) -> FeatureContext | None:
        """The state to answer from, or None while there is no model."""
        client, model, ws = self._engine.client, self._engine.model, self.workspace
        if client is None or model is None:
            return None
        resident = ws.ensure_resident(model)
        return FeatureContext(
            index=ws.index,
            resident=resident,
            engine=client,
            workspace=ws.key,
            settings=ws.settings,
            model=model,
            frame=resident.frame,
            memory=self.memory,
            link_base=f"{ws.root.as_uri()}/" if ws.root else "",
            learned=ws.learned,
            trust=self._engine.trust,
        )

    # -- what the indexing asks ------------------------------------------------------------------------------------

    def new_disk(self) -> Disk:
        """The folder under the rules that it has now. From here on its changes are seen under them, too."""
        assert self.workspace.root is not None
        disk = Disk(self.workspace.root, self.workspace.settings.index)
        self._rules = disk.rules()
        return disk

    def scanned(self, disk: Disk, index: Index) -> None:
        """All of it was read under these rules, which count for what the editor has open, too."""
        self._disk = disk
        verdicts = {path: disk.admits(path, text) for path, text in self.workspace.open_texts.items()}
        self.workspace.replace_all(index, {path: why for path, why in verdicts.items() if why is not None})
        self._family.readmit(self)

    def index_changed(self) -> None:
        """What it says may make the prompt stale."""
        self.warming.look()
        self.learning.wake()
        self._host.state_changed()

    async def _watch(self, rules: IgnoreRules) -> None:
        """For clients that do not watch the disk for us."""
        async for changes in watch(lambda: self._rules or rules, self._stop_watching, self._host.warn):
            self._family.disk_changed(self, {*changes.changed, *changes.removed}, rescan=changes.rescan)
