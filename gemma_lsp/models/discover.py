"""Which model to run: the one that is named, else the first usable one on this machine, else the one from pip.

What is named is never second-guessed: a wrong `model.path` is an error, not a reason to take another model.
Reads a few headers at most; call it off the hot path. Nothing is downloaded, ever.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gemma_lsp.base.errors import ModelError, ModelMissing
from gemma_lsp.models.default_model import default_model
from gemma_lsp.models.places import ModelFile, model_files
from gemma_lsp.models.shape import read_shape
from gemma_lsp.models.splits import is_later_part

ENVIRONMENT: Final = "GEMMA_LSP_MODEL"

_FAMILIES: Final = ("gemma-4", "gemma4", "gemma-3n", "gemma3n", "gemma-3", "gemma3", "gemma")
_NO_MODELS: Final = ("mmproj", "imatrix", "assistant", "draft", "-mtp", "embed", "lora")
"""Words in the names of companion files: projectors, drafters, embedding models. Saves opening them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundModel:
    """A model to run, and in words where it came from."""

    path: Path
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Where to look. `max_bytes` 0 means models of any size; larger ones are passed over, unless they are named.

    `named_by` is what gave `model_path`, as the user knows it: a setting or an option.
    """

    model_path: str = ""
    named_by: str = "model.path"
    max_bytes: int = 0
    environ: Mapping[str, str] | None = None
    home: Path | None = None


def find_model(search: Search) -> FoundModel:
    """The model to run.

    Raises:
        ModelMissing: a named file is not there, or there is no model on this machine at all.
        ModelInvalid: the parts of the default model are damaged. A named file is not opened here.
    """
    environ = os.environ if search.environ is None else search.environ
    if search.model_path:
        return _named(search.model_path, search.named_by)
    if environ.get(ENVIRONMENT):
        return _named(environ[ENVIRONMENT], ENVIRONMENT)
    for candidate in candidates(search):
        with suppress(ModelError):
            read_shape(candidate.path)
            return FoundModel(path=candidate.path, origin=f"{candidate.name} of {candidate.place}")
    try:
        return FoundModel(path=default_model(), origin="the default model")
    except ModelMissing as error:
        raise ModelMissing(f"no model was found on this machine, and {error}") from error


def candidates(search: Search) -> Iterator[ModelFile]:
    """Files that may be a model to run, best first: by place, then Gemma before others, then the larger one."""
    environ = os.environ if search.environ is None else search.environ
    places: dict[str, list[ModelFile]] = {}
    for file in model_files(environ, search.home or Path.home()):
        if _may_be_a_model(file) and (not search.max_bytes or file.n_bytes <= search.max_bytes):
            places.setdefault(file.place, []).append(file)
    for files in places.values():
        yield from sorted(files, key=_rank)


def _named(text: str, source: str) -> FoundModel:
    path = Path(text).expanduser()
    if path.is_dir():
        raise ModelMissing(f"{source} names the folder {path}; name the .gguf file in it")
    if not path.exists():
        raise ModelMissing(f"{source} names {path}, which is not there; correct it, or remove it to use another model")
    return FoundModel(path=path.absolute(), origin=source)


def _may_be_a_model(file: ModelFile) -> bool:
    name = file.name.lower()
    return not is_later_part(file.path) and not any(word in name for word in _NO_MODELS)


def _rank(file: ModelFile) -> tuple[int, int, str]:
    name = "/".join((*file.path.parts[-4:], file.name)).lower()
    family = next((index for index, word in enumerate(_FAMILIES) if word in name), len(_FAMILIES))
    return family, -file.n_bytes, file.name
