"""Read-only files that show an answer in an editor that cannot show it otherwise. They go with the session.

They hold source text: the folder is the user's alone.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from pathlib import Path


class Scratch:
    """A folder that is made when first needed."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._count = 0

    def write(self, title: str, markdown: str) -> Path:
        """A new file; the title is part of its name."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="gemma-lsp-"))
        self._count += 1
        name = re.sub(r"[^\w.-]+", "-", title).strip("-")[:60] or "answer"
        path = self._folder / f"{name}-{self._count}.md"
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(markdown)
        path.chmod(0o400)
        return path

    def remove(self) -> None:
        """Deletes everything that was written."""
        folder, self._folder = self._folder, None
        if folder is None:
            return
        for path in folder.iterdir():
            with contextlib.suppress(OSError):
                path.chmod(0o600)
        shutil.rmtree(folder, ignore_errors=True)
