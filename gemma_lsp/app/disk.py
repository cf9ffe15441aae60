"""A workspace folder on disk as the app asks about it. `admits` is for the event loop, the rest for worker threads."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

from gemma_lsp.base.cancel import CancelToken
from gemma_lsp.config.schema import IndexSettings
from gemma_lsp.text import Text
from gemma_lsp.workspace.fitness import Fitness
from gemma_lsp.workspace.rules import IgnoreRules, ScanOptions, parents
from gemma_lsp.workspace.scan import ScanResult, Skipped, read_file, scan
from gemma_lsp.workspace.secrets import secret_by_name
from gemma_lsp.workspace.snapshot import WorkspaceSnapshot
from gemma_lsp.workspace.watch import gathered


@dataclass(frozen=True, slots=True)
class FilesRead:
    """Files as the disk has them now; None for one that is gone."""

    changes: dict[str, Text | None]
    skipped: dict[str, str]


class Disk:
    """One folder under one set of rules. The event loop and the threads each have their own `IgnoreRules`."""

    def __init__(self, root: Path, settings: IndexSettings) -> None:
        self.root = root
        self.options = ScanOptions(
            max_file_bytes=settings.max_file_kb * 1024, exclude=settings.exclude, include=settings.include
        )
        self._for_loop, self._fitness = IgnoreRules(root, self.options), Fitness(self.options)

    def admits(self, path: str, text: Text) -> str | None:
        """Why what the editor has open may not enter the prompt, or None."""
        if not self._for_loop.wants(path):
            return "not a kind of file that belongs into the prompt"
        return self._for_loop.file(path) or self._fitness.unfit(path, text)

    def rules(self) -> IgnoreRules:
        """Fresh rules, for one task or thread."""
        return IgnoreRules(self.root, self.options)

    def scan(self, cancel: CancelToken) -> ScanResult:
        """Reads everything."""
        return scan(self.root, self.options, cancel)

    def read(self, paths: AbstractSet[str], known: WorkspaceSnapshot) -> FilesRead | None:
        """Reads a batch of paths that something happened to; None where only a new scan tells what that means.

        `known`: what was read before. A removed folder takes its files along, and a file may have become hidden.
        """
        rules = self.rules()
        changes = gathered(rules, paths)
        if changes.rescan:
            return None
        texts: dict[str, Text | None] = dict.fromkeys(_gone(changes.removed, known))
        skipped: dict[str, str] = {}
        for path in sorted(changes.changed | (paths & known.files.keys()) - changes.removed):
            found = read_file(self.root, path, self.options, rules)
            if not isinstance(found, Skipped):
                texts[path] = found
            elif found.missing:
                texts[path] = None
            else:
                skipped[path] = found.reason
        return FilesRead(texts, skipped)


def _gone(removed: AbstractSet[str], known: WorkspaceSnapshot) -> Iterator[str]:
    """The paths that were known of removed files and folders."""
    yield from (path for path in removed if path in known.files or path in known.skipped)
    folders = removed - known.files.keys()
    if folders:
        yield from (path for path in known.files if not folders.isdisjoint(parents(path)))


class NoDisk:
    """The same for documents that belong to no folder."""

    def __init__(self, settings: IndexSettings) -> None:
        self._fitness = Fitness(ScanOptions(max_file_bytes=settings.max_file_kb * 1024))

    def admits(self, path: str, text: Text) -> str | None:
        """Why what the editor has open may not enter the prompt, or None."""
        return secret_by_name(path) or self._fitness.unfit(path, text)
