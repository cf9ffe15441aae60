"""Results on disk: a bench that is run again into the same file goes on where it ended. Blocks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from gemma_lsp.base.errors import ConfigError

T = TypeVar("T")


def read_kept(path: Path | None, read: Callable[[Any], T]) -> T | None:
    """What an earlier run kept; None where there is nothing yet. Raises `ConfigError`."""
    if path is None or not path.exists():
        return None
    try:
        return read(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} holds something else; choose another --json, or delete it") from error


def keep(data: Any, path: Path | None) -> None:
    """Writes JSON in one step: a reader finds the old or the new. Raises `ConfigError`."""
    if path is None:
        return
    beside = path.with_name(path.name + ".partial")
    try:
        beside.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        raise ConfigError(f"the report cannot be written to {path}: {error.strerror}; choose another --json") from error
