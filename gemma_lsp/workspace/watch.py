"""Changes on disk that did not come from the editor, in batches. Runs on the event loop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from watchfiles import awatch

from gemma_lsp.workspace.rules import IgnoreRules
from gemma_lsp.workspace.scan import files_under, unreadable

_MAX_PATHS = 5_000
_DEBOUNCE_MS = 200
_STEP_MS = 50
_POLL_MS = 1_000  # how soon the stop event is noticed


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskChanges:
    """What happened since the last batch. Paths are relative to the workspace folder.

    `changed` are files to read again; `removed` are files or whole folders that are gone.
    `rescan` says that only a new scan tells: ignore rules changed, or too much did.
    """

    changed: frozenset[str] = frozenset()
    removed: frozenset[str] = frozenset()
    rescan: bool = False


async def watch(
    rules: Callable[[], IgnoreRules], stop: asyncio.Event, on_problem: Callable[[str], None]
) -> AsyncIterator[DiskChanges]:
    """Yields batches until `stop` is set. Where the system refuses to watch, it says so once and ends.

    `rules` gives those that count now, always for the same folder: they change, and meanwhile nothing may be missed.
    """
    root = Path(os.path.realpath(rules().root))
    try:
        if not root.is_dir():  # watchfiles would wait for it, silently and for ever
            on_problem(unreadable(rules().root))
            return
        async for batch in awatch(
            root,
            watch_filter=lambda _, name: _concerns(rules(), _relative(root, name)),
            debounce=_DEBOUNCE_MS,
            step=_STEP_MS,
            rust_timeout=_POLL_MS,
            stop_event=stop,
            ignore_permission_denied=True,
        ):
            paths = sorted({_relative(root, name) for _, name in batch})
            changes = await asyncio.to_thread(gathered, rules(), paths)
            if changes != DiskChanges():
                yield changes
    except (OSError, RuntimeError) as error:
        on_problem(f"changes on disk are not seen: {error}; raise the system's limit on watched files, or reopen")


def gathered(rules: IgnoreRules, paths: Iterable[str]) -> DiskChanges:
    """One batch out of the paths that something happened to: the disk's present state says what. Blocks."""
    changed: set[str] = set()
    removed: set[str] = set()
    for path in paths:
        folder, _, name = path.rpartition("/")
        if name == ".gitignore":
            if rules.folder(folder) is None:
                return DiskChanges(rescan=True)
            continue  # tools write one into each folder of theirs
        found = rules.root / path
        if not os.path.lexists(found):
            removed.add(path)
        elif found.is_dir():
            inside, limit = ([], None) if rules.folder(path) else files_under(rules, path)
            changed.update(inside)
            if limit is not None:
                return DiskChanges(rescan=True)
        elif rules.wants(path) and rules.file(path) is None:
            changed.add(path)
        if len(changed) + len(removed) > _MAX_PATHS:
            return DiskChanges(rescan=True)
    return DiskChanges(changed=frozenset(changed), removed=frozenset(removed))


def _relative(root: Path, name: str) -> str:
    return os.path.relpath(name, root).replace(os.sep, "/")


def _concerns(rules: IgnoreRules, path: str) -> bool:
    """A cheap first look: nothing below a folder that is left out, nor the workspace folder itself, nor outside."""
    return path != "." and path.split("/")[0] != ".." and rules.folder(path.rpartition("/")[0]) is None
