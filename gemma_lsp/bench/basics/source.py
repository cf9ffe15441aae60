"""Source that every machine has: the running interpreter's own library, copied into a folder of a wanted size."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from gemma_lsp.base.errors import GemmaLspError

LARGEST = 200_000  # bytes of one file: what an indexer takes by default


class NoSource(GemmaLspError):
    """The interpreter has come without its library's source."""


def copy_library(folder: Path, n_bytes: int) -> int:
    """Fills a new folder with at least `n_bytes` of Python, in packages as they are; returns the bytes.

    Where the library is smaller than that it is copied again under another name. Raises `NoSource`.
    """
    library = Path(sysconfig.get_path("stdlib"))
    sources = list(_sources(library))
    if not sources:
        raise NoSource(f"{library} holds no Python; run the bench with an interpreter that has its library's source")
    done = 0
    for turn in count():
        for path in sources:
            target = folder / (f"again{turn}" if turn else "") / path.relative_to(library)
            target.parent.mkdir(parents=True, exist_ok=True)
            content = path.read_bytes()
            target.write_bytes(content)
            done += len(content)
            if done >= n_bytes:
                return done
    raise AssertionError


def _sources(library: Path) -> Iterator[Path]:
    """Modules in a fixed order, tests last: those of a library are mostly data."""
    found = (path for path in library.rglob("*.py") if "site-packages" not in path.parts)
    for path in sorted(found, key=lambda p: ("test" in p.parts or "lib2to3" in p.parts, p)):
        if _readable(path):
            yield path


def _readable(path: Path) -> bool:
    """UTF-8 and of ordinary size; tests of decoders hold files that are not."""
    try:
        return 0 < path.stat().st_size <= LARGEST and bool(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError):
        return False
