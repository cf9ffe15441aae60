"""The results of a completion bench on disk, written as they come: a run goes on where it was ended. Blocks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gemma_lsp.base.errors import ConfigError
from gemma_lsp.bench.complete.types import Comparison, Row, row_from, summed_up
from gemma_lsp.bench.keep import keep, read_kept


class Store:
    """Rows by task and arm. Invariant: every row is of a run with the same `about`."""

    def __init__(self, path: Path | None, about: Mapping[str, Any]) -> None:
        self._path, self.about = path, dict(about)
        self._rows: dict[tuple[str, str], Row] = {}
        if path is not None:
            self._read(path)

    @property
    def rows(self) -> list[Row]:
        """All rows, in the order in which they were measured."""
        return list(self._rows.values())

    def has(self, task: str, arm: str) -> bool:
        """Whether that was measured already."""
        return (task, arm) in self._rows

    def row(self, task: str, arm: str) -> Row | None:
        """What was measured."""
        return self._rows.get((task, arm))

    def put(self, rows: Iterable[Row], comparisons: Iterable[Comparison] = ()) -> None:
        """Adds or replaces rows, and writes everything."""
        self._rows.update({(row.task, row.arm): row for row in rows})
        if self._path is not None and self._rows:
            keep(self._found(comparisons), self._path)

    def _read(self, path: Path) -> None:
        found = read_kept(path, lambda data: (data["about"], [row_from(row) for row in data["rows"]]))
        if found is None:
            return
        known, rows = found
        if known != json.loads(json.dumps(self.about)):
            raise ConfigError(f"{path} holds the results of another run; choose another --json, or the same options")
        self._rows = {(row.task, row.arm): row for row in rows}

    def _found(self, comparisons: Iterable[Comparison]) -> dict[str, Any]:
        return {
            "about": self.about,
            "sums": [s.to_json() for s in summed_up(self.rows)],
            "comparisons": [c.to_json() for c in comparisons],
            "rows": [row.to_json() for row in self.rows],
        }
