"""Models in several files (`name-00001-of-00003.gguf`), as llama.cpp's gguf-split writes them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from gemma_lsp.base.errors import ModelInvalid
from gemma_lsp.models.gguf import GgufHeader

_PART: Final = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf")


def is_later_part(path: Path) -> bool:
    """Whether this is a part of a split model other than the first: nothing that one could load."""
    match = _PART.fullmatch(path.name)
    return match is not None and int(match["number"]) != 1


def parts_of(path: Path) -> tuple[Path, ...]:
    """The files of a model, by the name of the first; whether they are there is not looked at."""
    match = _PART.fullmatch(path.name)
    if match is None:
        return (path,)
    count = int(match["count"])
    return tuple(path.with_name(f"{match['stem']}-{n:05d}-of-{count:05d}.gguf") for n in range(1, count + 1))


def split_bytes(header: GgufHeader) -> int:
    """Bytes of the model's file, or of all its files together.

    Raises:
        ModelInvalid: parts of a split model are missing, or this is not the first.
    """
    count = header.metadata.get("split.count", 0)
    if not isinstance(count, int) or count < 2:
        return header.file_bytes
    match = _PART.fullmatch(header.path.name)
    if match is None or int(match["number"]) != 1:
        raise ModelInvalid(f"{header.path} is one of {count} parts of a model; give the first, -00001-of-{count:05d}")
    names = (f"{match['stem']}-{number:05d}-of-{count:05d}.gguf" for number in range(1, count + 1))
    parts = [header.path.with_name(name) for name in names]
    missing = [part.name for part in parts if not part.is_file()]
    if missing:
        raise ModelInvalid(f"{header.path} lacks {', '.join(missing)}; download all parts into one folder")
    return sum(part.stat().st_size for part in parts)
