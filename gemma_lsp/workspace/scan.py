"""Reads a workspace from the disk. Blocks: call it from a worker thread.

Bounded in entries, files and bytes; never raises for what the disk holds: what cannot be used is said in `skipped`.
"""

from __future__ import annotations

import io
import os
import stat
import tokenize
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gemma_lsp.base.cancel import CancelToken
from gemma_lsp.text import Text
from gemma_lsp.workspace.kinds import unfit_content
from gemma_lsp.workspace.rules import IgnoreRules, ScanOptions

_MAX_SKIPPED = 10_000
_MAX_DOCS = 32
_OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


@dataclass(frozen=True, slots=True)
class Skipped:
    """Why a file is not part of the workspace; `missing` where there is none."""

    reason: str
    missing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanResult:
    """The files of a workspace and why others were left out (a path ending in '/' is a whole folder).

    `limit` says in words which bound was reached, None where everything was seen.
    """

    files: dict[str, Text]
    skipped: dict[str, str]
    limit: str | None = None


def scan(root: Path, options: ScanOptions, cancel: CancelToken | None = None) -> ScanResult:
    """Reads every file that belongs into the prompt, shallow folders first.

    Cancel points: before each folder; raises `Cancelled` there.
    """
    state = _Scan(rules=IgnoreRules(root, options), cancel=cancel)
    for path in state.walk(""):
        found = _load(root, path, options)
        if isinstance(found, Skipped):
            state.skip(path, found.reason)
            continue
        state.n_bytes += len(found.content)
        if state.n_bytes > options.max_total_bytes or len(state.files) >= options.max_files:
            bound = "bytes" if state.n_bytes > options.max_total_bytes else "files"
            state.limit = f"stopped at {len(state.files):,} files: more {bound} than the index takes; exclude some"
            break
        state.files[path] = found
    return ScanResult(files=dict(sorted(state.files.items())), skipped=state.skipped, limit=state.limit)


def read_file(root: Path, path: str, options: ScanOptions, rules: IgnoreRules | None = None) -> Text | Skipped:
    """Reads one file as `scan` would; `rules` saves reading the ignore files again."""
    parts = path.split("/")
    if os.path.isabs(path) or any(part in ("", ".", "..") for part in parts) or "\\" in path.replace(os.sep, "/"):
        return Skipped("not a path inside the workspace")
    rules = rules or IgnoreRules(root, options)
    if not rules.wants(path):
        return Skipped("not a kind of file that belongs into the prompt")
    if not os.path.lexists(root / path):
        return Skipped("there is no such file", missing=True)
    if any(os.path.islink(root.joinpath(*parts[: at + 1])) for at in range(len(parts))):
        return Skipped("a symbolic link")
    hidden = rules.file(path)
    return Skipped(hidden) if hidden is not None else _load(root, path, options)


def unreadable(root: Path) -> str:
    """What is said of a workspace folder that cannot be listed; the same words wherever it is noticed."""
    return f"the folder {root} cannot be read, so nothing is known of what it holds; open one that can be read"


def files_under(rules: IgnoreRules, folder: str) -> tuple[list[str], str | None]:
    """Paths in a folder and below that belong into the prompt, unread; and the bound that was reached, if any."""
    state = _Scan(rules=rules, cancel=None)
    return list(state.walk(folder)), state.limit


def too_large(content: str, options: ScanOptions) -> str | None:
    """Why what the editor has open may not enter the prompt for its size, or None."""
    return _too_large(options) if len(content) > options.max_file_bytes else None


@dataclass(slots=True, kw_only=True)
class _Scan:
    rules: IgnoreRules
    cancel: CancelToken | None
    files: dict[str, Text] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    n_bytes: int = 0
    n_entries: int = 0
    n_docs: int = 0
    limit: str | None = None

    def skip(self, path: str, reason: str) -> None:
        if len(self.skipped) < _MAX_SKIPPED:
            self.skipped[path] = reason

    def walk(self, start: str) -> Iterator[str]:
        """Candidate files below a folder, breadth first, each folder in the order of names."""
        folders = deque([start])
        while folders and self.limit is None:
            if self.cancel is not None:
                self.cancel.check()
            folder = folders.popleft()
            for entry in self._entries(folder):
                path = f"{folder}/{entry.name}" if folder else entry.name
                if self._is_folder(entry, path):
                    folders.append(path)
                elif self._is_candidate(entry, path):
                    yield path

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        room = self.rules.options.max_entries - self.n_entries
        entries: list[os.DirEntry[str]] = []
        try:
            with os.scandir(self.rules.root / folder) as listing:
                for entry in listing:
                    if len(entries) >= room:
                        self.limit = f"stopped after {self.rules.options.max_entries:,} entries; exclude some folders"
                        break
                    entries.append(entry)
        except OSError as error:
            self.skip(f"{folder}/", _cannot(error))
        self.n_entries += len(entries)
        return sorted(entries, key=lambda entry: entry.name)

    def _is_folder(self, entry: os.DirEntry[str], path: str) -> bool:
        if not entry.is_dir(follow_symlinks=False) or not _is_utf8(path):
            return False
        reason = self.rules.folder(path)
        if reason is not None and reason != "a hidden folder":
            self.skip(f"{path}/", reason)
        return reason is None

    def _is_candidate(self, entry: os.DirEntry[str], path: str) -> bool:
        if entry.is_dir(follow_symlinks=False):
            if not _is_utf8(path):
                self.skip(ascii(path), "its name is not UTF-8")
            return False
        reason = self.rules.file(path)
        if not self.rules.wants(path):
            if reason == "a secret by its name":
                self.skip(path, reason)
            return False
        if not _is_utf8(path):
            path, reason = ascii(path), "its name is not UTF-8"
        elif entry.is_symlink():
            reason = "a symbolic link"
        elif path.startswith(("docs/", "doc/")) and path.endswith(".md") and "/" not in path.partition("/")[2]:
            self.n_docs += 1
            if self.n_docs > _MAX_DOCS and reason is None:
                reason = f"more than {_MAX_DOCS} pages of documentation"
        if reason is not None:
            self.skip(path, reason)
        return reason is None


def _load(root: Path, path: str, options: ScanOptions) -> Text | Skipped:
    try:
        descriptor = os.open(root / path, _OPEN_FLAGS)
        with open(descriptor, "rb") as stream:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return Skipped("not a regular file")
            data = stream.read(options.max_file_bytes + 1)
    except FileNotFoundError:
        return Skipped("there is no such file", missing=True)
    except OSError as error:
        return Skipped(_cannot(error))
    if len(data) > options.max_file_bytes:
        return Skipped(_too_large(options))
    content = _decoded(data, path)
    if isinstance(content, Skipped):
        return content
    reason = unfit_content(content)
    return Text.normalised(content) if reason is None else Skipped(reason)


def _decoded(data: bytes, path: str) -> str | Skipped:
    """UTF-8, or what a Python file's coding line says (PEP 263)."""
    if b"\0" in data:
        return Skipped("binary")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        if not path.endswith((".py", ".pyi", ".pyw")):
            return Skipped("not UTF-8")
    try:
        return data.decode(tokenize.detect_encoding(io.BytesIO(data).readline)[0])
    except (LookupError, SyntaxError, ValueError):
        return Skipped("neither UTF-8 nor what its coding line says")


def _is_utf8(path: str) -> bool:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _cannot(error: OSError) -> str:
    return f"cannot be read: {(error.strerror or type(error).__name__).lower()}"


def _too_large(options: ScanOptions) -> str:
    return f"larger than {options.max_file_bytes // 1024:,} KB"
