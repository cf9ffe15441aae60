"""What a module of the standard library holds, without importing it. Pure but for reading Python's own files.

Many have names that are as good for a variable: `code`, `email`, `queue`, `string`, `time`, `token`.
"""

from __future__ import annotations

import re
import sys
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path


def is_of_library(module: str, attribute: str) -> bool:
    """Whether a module has an attribute, or is a package that has such a module; True where that cannot be seen."""
    if (loaded := sys.modules.get(module)) is not None and hasattr(loaded, attribute):
        return True
    source, folders = _source(module)
    if any((folder / attribute).is_dir() or (folder / f"{attribute}.py").is_file() for folder in folders):
        return True
    if not source:
        return loaded is None
    if "import *" in source or "._convert_(" in source:
        return True
    bound = rf"(?m)^\s*(?:(?:async )?def|class)\s+{attribute}\b|^\s*{attribute}\s*[:=,]|^.*\bimport\b.*\b{attribute}\b"
    return re.search(bound, source) is not None or re.search(rf"[\"']{attribute}[\"']", source) is not None


@lru_cache(maxsize=64)
def _source(module: str) -> tuple[str, tuple[Path, ...]]:
    """The text of a module, "" where it has none, and the folders of a package."""
    try:
        spec = find_spec(module)
        source = Path(spec.origin) if spec is not None and spec.origin else None
        text = source.read_text(encoding="utf-8") if source is not None and source.suffix == ".py" else ""
        return text, tuple(map(Path, spec.submodule_search_locations or ())) if spec is not None else ()
    except (ImportError, OSError, ValueError):
        return "", ()
