"""Which workspace a document belongs to, and under which path. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

_PYTHON = (".py", ".pyi", ".pyw")


def deepest_root(path: Path | None, roots: Iterable[Path]) -> Path | None:
    """The innermost folder around a file; None for a file outside all of them, and for what is no file."""
    around = [root for root in roots if path is not None and path.is_relative_to(root)]
    return max(around, key=lambda root: len(root.parts), default=None)


def loose_path(uri: str, path: Path | None, language_id: str, taken: Collection[str]) -> str:
    """A path for a document without a folder; its ending tells the language, and a number tells equal names apart."""
    last = path.name if path is not None else uri.rstrip("/").rpartition("/")[2].rpartition(":")[2]
    name = last or "untitled"
    if language_id == "python" and not name.endswith(_PYTHON):
        name += ".py"
    if name not in taken:
        return name
    return next(p for n in range(2, len(taken) + 3) if (p := f"{n}/{name}") not in taken)
