"""Document URIs and paths of this machine."""

from __future__ import annotations

from pathlib import Path

from pygls.uris import to_fs_path


def path_of(uri: str) -> Path | None:
    """The absolute path of a file URI; None for any other document (untitled, a notebook cell, a remote file)."""
    try:
        path = to_fs_path(uri)
    except ValueError:
        return None
    if not path or "\0" in path or not Path(path).is_absolute():
        return None
    return Path(path)


def uri_of(path: Path) -> str:
    """The URI of an absolute path."""
    return path.as_uri()
