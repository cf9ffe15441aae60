"""Findings that a person does not want to see again: digests in a file of the user's state directory.

A file that is missing, unreadable or damaged is an empty one. Event loop only: it is read once and is small.
"""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

import platformdirs

log = logging.getLogger(__name__)
_DIGEST = re.compile(r"[0-9a-f]{32}")
MAX_BYTES = 1 << 20  # 30,000 findings; of a longer file the end counts


class Dismissals:
    """The digests, for good. Two sessions that add at once both keep what they added."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or Path(platformdirs.user_state_dir("gemma-lsp", appauthor=False)) / "dismissed"
        self._digests: set[str] | None = None

    @property
    def digests(self) -> set[str]:
        """All of them."""
        if self._digests is None:
            self._digests = set(_DIGEST.findall(self._read()))
        return self._digests

    def add(self, digest: str) -> bool:
        """Keeps one; False for what is no digest. What cannot be written down holds for this session."""
        if not _DIGEST.fullmatch(digest):
            return False
        if digest not in self.digests:
            self.digests.add(digest)
            self._append(digest)
        return True

    def _read(self) -> str:
        try:
            return self.path.read_bytes()[-MAX_BYTES:].decode("ascii", "replace")
        except OSError:
            return ""

    def _append(self, digest: str) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "w", encoding="ascii") as file:
                file.write(f"{digest}\n")
        except OSError as error:
            log.warning("a dismissed finding could not be written down: %s", error)
