"""Keeps a workspace's files and index true to the disk: the scan at the start, then what changes. Event loop only.

Reading and parsing run in threads; the results are taken over on the loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gemma_lsp.app.disk import Disk, FilesRead
from gemma_lsp.app.ports import Host
from gemma_lsp.app.threads import in_thread
from gemma_lsp.app.worker import Worker
from gemma_lsp.app.workspace import Workspace
from gemma_lsp.base.cancel import CancelToken
from gemma_lsp.syntax.index import Index, build
from gemma_lsp.syntax.volatility import commit_shares
from gemma_lsp.workspace.scan import ScanResult, unreadable
from gemma_lsp.workspace.snapshot import WorkspaceSnapshot

_REPORT_EVERY = 64  # files: a report costs more than parsing a small one


class Indexing(Worker):
    """Invariant: `ready` is set once the first scan has been taken over."""

    def __init__(self, workspace: Workspace, disk: Disk | None, host: Host, on_change: Callable[[], None]) -> None:
        super().__init__()
        self.name = f"indexing {workspace.name}"
        self.ready = asyncio.Event()
        self._ws, self._disk, self._host, self._on_change = workspace, disk, host, on_change
        self._must_scan = disk is not None
        self._paths: set[str] = set()
        if disk is None:
            self.ready.set()

    def disk_changed(self, paths: set[str]) -> None:
        """Something happened to these paths."""
        self._paths |= paths
        self.wake()

    def rescan(self, disk: Disk) -> None:
        """Everything is to be read again: the rules are others."""
        self._disk, self._must_scan = disk, True
        self.wake()

    async def _step(self) -> None:
        if self._disk is None:
            return
        if self._paths and not self._must_scan:
            await self._read(self._disk)
        if self._must_scan:
            self._must_scan = False
            self._paths.clear()
            await self._scan(self._disk)

    def _failed(self, message: str) -> None:
        self._host.warn(message)
        self.ready.set()  # with what the editor has open, there is still something to answer from

    async def _scan(self, disk: Disk) -> None:
        ws, loop = self._ws, asyncio.get_running_loop()
        view = self._host.begin_task(self.name)

        def report(done: int, total: int) -> None:
            if done % _REPORT_EVERY == 0 and done < total:
                message = f"{done:,} of {total:,} files"
                loop.call_soon_threadsafe(view.report, message, 100 * done // max(1, total))

        def work(cancel: CancelToken) -> tuple[ScanResult, Index, dict[str, float]]:
            found = disk.scan(cancel)
            snapshot = WorkspaceSnapshot(root=ws.root, name=ws.name, files=found.files, skipped=found.skipped)
            index = build(snapshot, cancel=cancel, on_progress=report)
            return found, index, commit_shares(ws.root) if ws.root else {}

        try:
            found, index, ws.volatility = await in_thread(work, "index")
        except BaseException:
            view.end("stopped")
            raise
        ws.replace_all(index)
        view.end(f"{len(index.files):,} files")
        if "/" in found.skipped:  # the folder itself
            self._host.warn(unreadable(disk.root))
        if found.limit is not None:
            self._host.warn(f"{ws.name}: {found.limit}")
        self.ready.set()
        self._on_change()

    async def _read(self, disk: Disk) -> None:
        paths, self._paths = self._paths, set()
        known = tuple(self._ws.snapshot.files)

        def work(_: CancelToken) -> FilesRead | None:
            changes = disk.gather(paths)
            return None if changes.rescan else disk.read(changes, known)

        files = await in_thread(work, "read")
        if files is None:
            self._must_scan = True
            return
        self._ws.disk_changed(files.changes, files.skipped)
        self._on_change()
