"""The counts of `feedback` in a file of the user's state directory, which the user can read, and delete at any time.

A file that is missing, unreadable or damaged is an empty one. Any thread.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import platformdirs

from gemma_lsp.features.feedback import NAMES, Counts

log = logging.getLogger(__name__)
DAYS = 90
MAX_BYTES = 1 << 20
_ABOUT = (
    "What became of gemma-lsp's suggestions, counted by day. It stays on this machine and holds no source text. "
    "`gemma-lsp stats` shows it. Delete it whenever you like."
)


class TallyFile:
    """One small JSON file. Two sessions add to it; a count may be lost when they write at the same moment."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or Path(platformdirs.user_state_dir("gemma-lsp", appauthor=False)) / "completions.json"

    def read(self) -> Counts:
        """The counts by day."""
        try:
            with self.path.open("rb") as file:
                raw = json.loads(file.read(MAX_BYTES))
        except (OSError, ValueError, RecursionError):
            return {}
        days = raw.get("days") if isinstance(raw, dict) else None
        return {day: _counts(counts) for day, counts in days.items()} if isinstance(days, dict) else {}

    def add(self, new: Counts) -> None:
        """Adds to what is there; what cannot be written is lost, and that is logged."""
        if not new:
            return
        days = self.read()
        for day, counts in new.items():
            days.setdefault(day, Counter()).update(counts)
        kept = {day: {name: days[day][name] for name in NAMES} for day in sorted(days)[-DAYS:]}
        try:
            self._replace(json.dumps({"about": _ABOUT, "days": kept}, indent=1) + "\n")
        except OSError as error:
            log.warning("what became of suggestions could not be written down: %s", error)

    def _replace(self, content: str) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=".completions")  # readable by its user alone
        try:
            with open(handle, "w", encoding="utf-8") as file:
                file.write(content)
            os.replace(name, self.path)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise


def _counts(raw: Any) -> Counter[str]:
    pairs = raw.items() if isinstance(raw, Mapping) else ()
    return Counter({name: n for name, n in pairs if name in NAMES and type(n) is int and 0 <= n < 1 << 40})
