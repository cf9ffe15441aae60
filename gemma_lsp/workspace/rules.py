"""Which paths are hidden: `.gitignore` files as git reads them, the built-in list, and the user's patterns.

One `IgnoreRules` is what the disk said when a folder was first asked about; a changed `.gitignore` wants a new one.
It may be asked from one thread at a time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pathspec import GitIgnoreSpec

from gemma_lsp.workspace.kinds import is_wanted, never_file, never_folder
from gemma_lsp.workspace.secrets import secret_by_name

_MAX_RULES_BYTES = 1_000_000
_EMPTY = GitIgnoreSpec.from_lines(())


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanOptions:
    """What may enter a workspace, and how much of it. `exclude` and `include` are patterns as in `.gitignore`."""

    max_file_bytes: int = 256 * 1024
    max_files: int = 50_000
    max_total_bytes: int = 128 * 1024 * 1024
    max_entries: int = 1_000_000  # entries of folders that are looked at
    exclude: tuple[str, ...] = ()
    include: tuple[str, ...] = ()  # further files; what is hidden, secret or vendored stays out


class IgnoreRules:
    """The rules of one workspace folder. Paths are relative to it, with '/'."""

    def __init__(self, root: Path, options: ScanOptions) -> None:
        self.root = root
        self.options = options
        self._exclude = _spec(options.exclude)
        self._include = _spec(options.include)
        self._specs: dict[str, GitIgnoreSpec] = {}
        self._folders: dict[str, str | None] = {}  # each judged as if those above it were not hidden

    def folder(self, path: str) -> str | None:
        """Why a folder is left out with all it holds, or None. A folder in a hidden folder is hidden."""
        verdict, end = None, 0
        while path and verdict is None and end >= 0:
            end = path.find("/", end + 1)
            folder = path if end < 0 else path[:end]
            if folder not in self._folders:
                self._folders[folder] = self._own_folder(folder)
            verdict = self._folders[folder]
        return verdict

    def file(self, path: str) -> str | None:
        """Why a file is left out by its path, or None."""
        hidden = self.folder(path.rpartition("/")[0])
        return hidden or secret_by_name(path) or never_file(path) or self._hidden(path, path)

    def wants(self, path: str) -> bool:
        """Whether a file is of a kind that belongs into the prompt, hidden or not."""
        return is_wanted(path) or self._include.match_file(path)

    def _own_folder(self, path: str) -> str | None:
        never = never_folder(path)
        if never is not None:
            return never
        hidden = self._hidden(path, path + "/")
        if hidden is not None:
            return hidden
        is_environment = os.path.lexists(self.root / path / "pyvenv.cfg") or os.path.lexists(
            self.root / path / "conda-meta"
        )
        return "installed packages" if is_environment else None

    def _hidden(self, path: str, shown: str) -> str | None:
        """The last matching pattern of the nearest file decides, as in git. `shown` ends in '/' for a folder."""
        if self._exclude.match_file(shown):
            return "excluded by the settings"
        for folder in parents(path):
            verdict = self._spec(folder).check_file(shown[len(folder) + 1 :] if folder else shown).include
            if verdict is not None:
                return "hidden by .gitignore" if verdict else None
        for prefix, spec in self._outer:
            verdict = spec.check_file(prefix + shown).include
            if verdict is not None:
                return "hidden by .gitignore" if verdict else None
        return None

    def _spec(self, folder: str) -> GitIgnoreSpec:
        if folder not in self._specs:
            self._specs[folder] = _read_spec(self.root / folder / ".gitignore")
        return self._specs[folder]

    @cached_property
    def _outer(self) -> tuple[tuple[str, GitIgnoreSpec], ...]:
        """Rules above the workspace folder inside its git repository, nearest first, then git's own exclude file.

        None where they hide the workspace folder itself: who opens a hidden folder wants to see what it holds.
        """
        found, prefix = [], ""
        for folder in [self.root, *self.root.parents]:
            if folder != self.root:
                found.append((prefix, _read_spec(folder / ".gitignore")))
            git = folder / ".git"
            if os.path.lexists(git):
                found.append((prefix, _read_spec(_common_folder(git) / "info" / "exclude")))
                is_hidden = any(above and spec.check_file(above).include for above, spec in found)
                return () if is_hidden else tuple(found)
            prefix = f"{folder.name}/{prefix}"
        return ()


def parents(path: str) -> Iterator[str]:
    """The folders around a path, nearest first, the workspace's own ("") last."""
    while path:
        path = path.rpartition("/")[0]
        yield path


def _spec(patterns: tuple[str, ...] | list[str]) -> GitIgnoreSpec:
    """The patterns that can be read; one that cannot hides nothing."""
    try:
        return GitIgnoreSpec.from_lines(patterns)
    except ValueError:
        readable = [pattern for pattern in patterns if _is_readable(pattern)]
        return GitIgnoreSpec.from_lines(readable)


def _is_readable(pattern: str) -> bool:
    try:
        GitIgnoreSpec.from_lines([pattern])
    except ValueError:
        return False
    return True


def _read_spec(file: Path) -> GitIgnoreSpec:
    try:
        with open(file, "rb") as stream:
            data = stream.read(_MAX_RULES_BYTES)
    except OSError:
        return _EMPTY
    return _spec(data.decode("utf-8-sig", "replace").splitlines())


def _common_folder(git: Path) -> Path:
    """The folder of a repository that its work trees share; `git` may be a file that points there."""
    try:
        if git.is_dir():
            return git
        target = git.parent / git.read_text("utf-8", "replace").removeprefix("gitdir:").strip()
        common = target / "commondir"
        return target / common.read_text("utf-8", "replace").strip() if common.exists() else target
    except OSError:
        return git
