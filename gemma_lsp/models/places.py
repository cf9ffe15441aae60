"""Where GGUF files lie on a machine: our own folder and those of other tools. Lists files; opens none of them.

Any folder may be missing, unreadable or full of other things: that is an empty list, never an error.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import platformdirs

_OLLAMA_MODEL: Final = "application/vnd.ollama.image.model"
_MAX_MANIFEST_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """A file that may be a model. `name` is what the tool that keeps it calls it; `place` is that tool."""

    path: Path
    name: str
    place: str
    n_bytes: int


def own_folder() -> Path:
    """The folder for models that the user gives to gemma-lsp."""
    return Path(platformdirs.user_data_dir("gemma-lsp", appauthor=False)) / "models"


def model_files(environ: Mapping[str, str], home: Path) -> Iterator[ModelFile]:
    """Every candidate, place by place, ours first; the order within a place is by name."""
    for place, folders, patterns in _PLACES:
        for folder in folders(environ, home):
            for pattern in patterns:
                yield from _listed(place, folder, pattern)
    for folder in _ollama(environ, home):
        yield from _ollama_models(folder)


def _own(environ: Mapping[str, str], home: Path) -> list[Path]:
    return [own_folder()]


def _hugging_face(environ: Mapping[str, str], home: Path) -> list[Path]:
    if folder := environ.get("HF_HUB_CACHE") or environ.get("HUGGINGFACE_HUB_CACHE"):
        return [Path(folder).expanduser()]
    if folder := environ.get("HF_HOME"):
        return [Path(folder).expanduser() / "hub"]
    return [_cache(environ, home) / "huggingface" / "hub"]


def _llama_cpp(environ: Mapping[str, str], home: Path) -> list[Path]:
    if folder := environ.get("LLAMA_CACHE"):
        return [Path(folder).expanduser()]
    system: str = sys.platform
    if system == "darwin":
        return [home / "Library" / "Caches" / "llama.cpp"]
    if system == "win32":
        return [Path(environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "llama.cpp"]
    return [_cache(environ, home) / "llama.cpp"]


def _lm_studio(environ: Mapping[str, str], home: Path) -> list[Path]:
    return [home / ".lmstudio" / "models", home / ".cache" / "lm-studio" / "models"]


def _ollama(environ: Mapping[str, str], home: Path) -> list[Path]:
    if folder := environ.get("OLLAMA_MODELS"):
        return [Path(folder).expanduser()]
    return [home / ".ollama" / "models", Path("/usr/share/ollama/.ollama/models")]


def _cache(environ: Mapping[str, str], home: Path) -> Path:
    return Path(environ.get("XDG_CACHE_HOME") or home / ".cache")


_PLACES: Final[tuple[tuple[str, Callable[[Mapping[str, str], Path], list[Path]], tuple[str, ...]], ...]] = (
    ("gemma-lsp", _own, ("*.gguf", "*/*.gguf")),
    ("Hugging Face", _hugging_face, ("models--*/snapshots/*/*.gguf", "models--*/snapshots/*/*/*.gguf")),
    ("llama.cpp", _llama_cpp, ("*.gguf",)),
    ("LM Studio", _lm_studio, ("*/*/*.gguf",)),
)


def _listed(place: str, folder: Path, pattern: str) -> list[ModelFile]:
    files: list[ModelFile] = []
    with suppress(OSError, ValueError):
        for path in sorted(folder.glob(pattern)):
            files += _model_file(place, path, path.name)
    return files


def _ollama_models(folder: Path) -> list[ModelFile]:
    """Ollama keeps models as blobs named by their digest; its manifests tell which."""
    files: list[ModelFile] = []
    with suppress(OSError, ValueError):
        for manifest in sorted((folder / "manifests").glob("*/*/*/*")):
            if (digest := _ollama_digest(manifest)) is not None:
                blob = folder / "blobs" / digest.replace(":", "-")
                files += _model_file("Ollama", blob, f"{manifest.parent.name}:{manifest.name}")
    return files


def _ollama_digest(manifest: Path) -> str | None:
    with suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
        if manifest.stat().st_size <= _MAX_MANIFEST_BYTES:
            layers = json.loads(manifest.read_bytes())["layers"]
            digests = [str(layer["digest"]) for layer in layers if layer["mediaType"] == _OLLAMA_MODEL]
            return digests[0] if digests and digests[0].removeprefix("sha256:").isalnum() else None
    return None


def _model_file(place: str, path: Path, name: str) -> list[ModelFile]:
    with suppress(OSError):
        if path.is_file():
            return [ModelFile(path=path, name=name, place=place, n_bytes=path.stat().st_size)]
    return []
