"""Trunks on disk, so that a restart does not evaluate the repository again. The engine's thread; writing has its own.

A snapshot is one file: magic, header (JSON), tokens (int32), llama.cpp's sequence state, BLAKE2b of all before it.
It is written to a temporary file and renamed. A stale, truncated, foreign or damaged file is a miss, never an error,
and deleting the folder is always safe. The folder is its user's alone, because a cache holds the source.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import struct
import sys
import tempfile
import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gemma_lsp.base.digest import digest_text
from gemma_lsp.kv.ledger import Ledger, Run
from gemma_lsp.kv.plan import Capabilities, Policy, Wanted, plan
from gemma_lsp.kv.ranges import Ranges

log = logging.getLogger(__name__)
MAGIC = b"gemma-lsp kv 1\n"
SIZE = struct.Struct("<Q")
PER_WORKSPACE = 4  # branches of one repository that are kept side by side
_ABANDONED_S = 3600.0
WORTH = 256  # tokens that a restore must save; reading a file is not free


@dataclass(frozen=True, slots=True)
class Header:
    """What a snapshot says of itself: who made it, for whom, and which segments stand where."""

    path: Path
    identity: str
    workspace: str
    runs: tuple[Run, ...]
    offset: int  # of the tokens in the file

    @property
    def n_tokens(self) -> int:
        """Positions that it holds."""
        return self.runs[-1].stop if self.runs else 0


@dataclass(frozen=True, slots=True)
class Loaded:
    """A verified snapshot."""

    tokens: array[int]
    runs: tuple[Run, ...]
    state: memoryview


class Emptied(Protocol):
    """A trunk that may be filled: how wide its window is and what can be done with it."""

    @property
    def ledger(self) -> Ledger:
        """What it holds, which is nothing."""

    @property
    def can(self) -> Capabilities:
        """What its sequence can do."""


class SnapshotStore:
    """A folder of snapshots of one engine identity (model, build, cache settings) under a byte budget."""

    def __init__(self, folder: Path, identity: str, budget_bytes: int) -> None:
        self._folder, self._identity, self._budget = folder, identity, budget_bytes
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
        self._sweep()

    def best(self, workspace: str, wanted: Sequence[Wanted], trunk: Emptied, policy: Policy) -> Header | None:
        """The snapshot from which the fewest tokens would be left to evaluate, if it saves enough."""
        total = sum(len(w.tokens) for w in wanted)
        best, least = None, total - WORTH
        for header in self.headers():
            if (header.identity, header.workspace) != (self._identity, workspace):
                continue
            left = plan(outline(header, trunk.ledger.n_swa), wanted, trunk.can, policy).evaluate
            if left < least:
                best, least = header, left
        return best

    def headers(self) -> list[Header]:
        """Every readable snapshot in the folder, of any identity; the most recently used first."""
        try:
            paths = sorted(self._folder.glob("*.kv"), key=lambda p: p.stat().st_mtime, reverse=True)
        except OSError:
            return []
        return [header for path in paths if (header := read_header(path))]

    def load(self, header: Header) -> Loaded | None:
        """The snapshot's content, or None if it is not what was written."""
        try:
            data = memoryview(header.path.read_bytes())
            if len(data) < header.offset + 16 or hashlib.blake2b(data[:-16], digest_size=16).digest() != data[-16:]:
                header.path.unlink(missing_ok=True)
                return None
            end = header.offset + 4 * header.n_tokens
            tokens = array("i")
            tokens.frombytes(data[header.offset : end])
            os.utime(header.path)
        except OSError as error:
            log.warning("a snapshot cannot be read: %s", error)
            return None
        return Loaded(_native(tokens), header.runs, data[end:-16])

    def has_room_for(self, n_bytes: int) -> bool:
        """Whether so much may be kept at all."""
        return n_bytes <= self._budget

    def save(self, workspace: str, ledger: Ledger, state: bytes | memoryview) -> Path | None:
        """Writes a trunk that holds nothing hidden. None if the disk refuses; nothing half-written stays."""
        runs = _rows(ledger)
        head = json.dumps({"identity": self._identity, "workspace": workspace, "runs": runs}).encode()
        name = digest_text(self._identity + workspace + json.dumps(runs))
        parts = (MAGIC, SIZE.pack(len(head)), head, _native(ledger.tokens[:]).tobytes(), state)
        if sum(map(len, parts)) > self._budget:
            return None
        digest = hashlib.blake2b(digest_size=16)
        for part in parts:
            digest.update(part)
        target = self._folder / f"{name}.kv"
        try:
            _write(target, (*parts, digest.digest()))
        except OSError as error:
            log.warning("a snapshot could not be written: %s", error)
            return None
        self._tidy(workspace)
        return target

    def known(self, workspace: str, ledger: Ledger) -> bool:
        """Whether this very trunk is on disk."""
        runs = _rows(ledger)
        return (self._folder / f"{digest_text(self._identity + workspace + json.dumps(runs))}.kv").exists()

    def _sweep(self) -> None:
        """Removes what a killed process left half-written; a file that is being written now is younger."""
        with contextlib.suppress(OSError):
            for path in self._folder.glob("*.tmp"):
                if time.time() - path.stat().st_mtime > _ABANDONED_S:
                    path.unlink()

    def _tidy(self, workspace: str) -> None:
        """Least recently used first: beyond the workspace's number, then beyond the budget."""
        held, used = 0, 0
        for header in self.headers():
            with contextlib.suppress(OSError):
                size = header.path.stat().st_size
                mine = (header.identity, header.workspace) == (self._identity, workspace)
                held += mine
                used += size
                if used > self._budget or (mine and held > PER_WORKSPACE):
                    header.path.unlink()
                    used -= size


def read_header(path: Path) -> Header | None:
    """The header alone; None for anything that is not a snapshot."""
    try:
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                return None
            (size,) = SIZE.unpack(file.read(SIZE.size))
            if size > 64 * 1024 * 1024:
                return None
            said = json.loads(file.read(size))
            runs = tuple(Run(str(k), str(r), int(a), int(b), Ranges(), int(o)) for k, r, a, b, o in said["runs"])
            return Header(path, str(said["identity"]), str(said["workspace"]), runs, len(MAGIC) + SIZE.size + size)
    except (OSError, ValueError, KeyError, TypeError, struct.error):
        return None


def _rows(ledger: Ledger) -> list[list[str | int]]:
    """The runs as the header has them."""
    return [[run.key, run.region, run.start, run.stop, run.offset] for run in ledger.runs]


def outline(header: Header, n_swa: int) -> Ledger:
    """The ledger after a restore, with unknown tokens: enough to plan by segments."""
    return restored_ledger(n_swa, array("i", [-1]) * header.n_tokens, header.runs)


def restored_ledger(n_swa: int, tokens: array[int], runs: Sequence[Run]) -> Ledger:
    """A ledger whose sliding half holds the window at the end and nothing else: that is what llama.cpp saves."""
    ledger = Ledger(n_swa)
    ledger.tokens, ledger.runs = tokens, list(runs)
    ledger.sliding = ledger.window_at(len(tokens))
    return ledger


def _write(target: Path, parts: Sequence[bytes | memoryview]) -> None:
    descriptor, name = tempfile.mkstemp(dir=target.parent, suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def _native(tokens: array[int]) -> array[int]:
    """Files are little-endian."""
    if sys.byteorder == "big":
        tokens.byteswap()
    return tokens
