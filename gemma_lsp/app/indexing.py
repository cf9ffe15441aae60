"""Keeps a workspace's files and index true to the disk: the scan at the start, then what changes. Event loop only.

Reading and parsing run in threads; the results are taken over on the loop.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from gemma_lsp.app.disk import Disk, FilesRead
from gemma_lsp.app.ports import Host
from gemma_lsp.app.threads import in_thread
from gemma_lsp.app.worker import Worker
from gemma_lsp.app.workspace import Workspace
from gemma_lsp.base.cancel import CancelToken
from gemma_lsp.syntax.index import Index, build
from gemma_lsp.syntax.volatility import commit_shares
from gemma_lsp.workspace.scan import ScanResult, unreadable

_REPORT_EVERY = 64  # files: a report costs more than parsing a small one


class Owner(Protocol):
    """Whoever knows what may be read of the folder, and takes over what was."""

    def new_disk(self) -> Disk:
        """The folder under the rules that it has now."""

    def scanned(self, disk: Disk, index: Index) -> None:
        """All of it was read under these rules."""

    def index_changed(self) -> None:
        """The index is another."""


class Indexing(Worker):
    """Invariant: `ready` is set once the first scan has been taken over. Every scan is under new rules."""

    def __init__(self, workspace: Workspace, host: Host, owner: Owner) -> None:
        super().__init__()
        self.name = f"indexing {workspace.name}"
        self.ready = asyncio.Event()
        self._ws, self._host, self._owner = workspace, host, owner
        self._disk: Disk | None = None
        self._must_scan = workspace.root is not None
        self._paths: set[str] = set()
        if workspace.root is None:
            self.ready.set()

    def disk_changed(self, paths: set[str]) -> None:
        """Something happened to these paths."""
        self._paths |= paths
        self.wake()

    def rescan(self) -> None:
        """Everything is to be read again: the rules are others."""
        self._must_scan = True
        self.wake()

    async def _step(self) -> None:
        if self._paths and not self._must_scan and self._disk is not None:
            await self._read(self._disk)
        if self._must_scan:
            self._must_scan = False
            self._paths.clear()
            self._disk = self._owner.new_disk()
            await self._scan(self._disk)

    def _failed(self, message: str) -> None:
        self._host.warn(message)
        self._must_scan = self._ws.root is not None  # when something happens next: who knows what was missed
        self.ready.set()  # with what the editor has open, there is still something to answer from

    async def _scan(self, disk: Disk) -> None:
        ws, loop, known = self._ws, asyncio.get_running_loop(), self._ws.index
        view = self._host.begin_task(self.name)

        def report(done: int, total: int) -> None:
            if done % _REPORT_EVERY == 0 and done < total:
                message = f"{done:,} of {total:,} files"
                loop.call_soon_threadsafe(view.report, message, 100 * done // max(1, total))

        def work(cancel: CancelToken) -> tuple[ScanResult, Index, dict[str, float]]:
            found = disk.scan(cancel)
            snapshot = known.snapshot.read_anew(found.files, found.skipped)
            index = build(snapshot, cancel=cancel, on_progress=report, known=known)
            return found, index, commit_shares(ws.root) if ws.root else {}

        try:
            found, index, ws.volatility = await in_thread(work, "index")
        except BaseException:
            view.end("stopped")
            raise
        self._owner.scanned(disk, index)
        view.end(f"{len(index.files):,} files")
        if "/" in found.skipped:  # the folder itself
            self._host.warn(unreadable(disk.root))
        if found.limit is not None:
            self._host.warn(f"{ws.name}: {found.limit}")
        self.ready.set()
        self._owner.index_changed()

    async def _read(self, disk: Disk) -> None:
        paths, self._paths = self._paths, set()
        known = self._ws.snapshot

        def work(_: CancelToken) -> FilesRead | None:
            return disk.read(paths, known)

        files = await in_thread(work, "read")
        if files is None:
            self._must_scan = True
        elif self._ws.disk_changed(files.changes, files.skipped):
            self._owner.index_changed()
