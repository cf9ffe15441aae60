"""What `doctor` looks at, gathered once as plain data; nothing here judges. Reading only: no model is loaded."""

from __future__ import annotations

import os
import platform
import shutil
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import platformdirs

from gemma_lsp.backends.llama import build_info, supports_gpu
from gemma_lsp.base.errors import ModelError
from gemma_lsp.cli.engines import find
from gemma_lsp.cli.machine import Machine, this_machine
from gemma_lsp.config.load import Problem, merge, repository_source, user_file, user_source
from gemma_lsp.config.schema import Settings
from gemma_lsp.engine.spec import runtime_folder, snapshot_folder
from gemma_lsp.models.default_model import cache_folder
from gemma_lsp.models.discover import FoundModel
from gemma_lsp.models.places import own_folder
from gemma_lsp.models.shape import ModelShape, read_shape
from gemma_lsp.models.trust import UNKNOWN, Trust, trust_in


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """A folder that gemma-lsp uses. `mode` is None where it does not exist yet."""

    what: str
    path: Path
    mode: int | None
    writable: bool
    private: bool = False  # must be closed to other users


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """The facts. `visible_gpu` is "nvidia", "apple", "amd" or "": hardware that llama.cpp may or may not use."""

    python: str
    executable: str
    system: str
    machine: Machine
    binding: str
    build: str
    offloads: bool
    visible_gpu: str
    settings: Settings
    settings_file: Path
    repository_file: Path | None = None  # the pyproject.toml in this folder, if it sets anything
    problems: tuple[Problem, ...] = ()
    folders: tuple[Folder, ...] = ()
    command: str = ""
    found: FoundModel | None = None
    shape: ModelShape | None = None
    model_error: str = ""
    trust: Trust = UNKNOWN
    editors: Mapping[str, str] = field(default_factory=dict)


def look(model: str = "") -> Surroundings:
    """Gathers the facts; `model` overrides the settings'."""
    repository = repository_source(Path.cwd())
    loaded = merge([user_source(), repository])
    found, shape, error = _model(loaded.settings, model)
    return Surroundings(
        python=platform.python_version(),
        executable=sys.executable,
        system=f"{platform.system()} {platform.machine()}",
        machine=this_machine(),
        binding=version("llama-cpp-python"),
        build=build_info(),
        offloads=supports_gpu(),
        visible_gpu=visible_gpu(),
        settings=loaded.settings,
        settings_file=user_file(),
        repository_file=Path(repository.origin) if repository.values or repository.problems else None,
        problems=loaded.problems,
        folders=_folders(),
        command=shutil.which("gemma-lsp") or "",
        found=found,
        shape=shape,
        model_error=error,
        trust=trust_in(found.path) if found is not None and shape is not None else UNKNOWN,
        editors={name: path for name, program in _EDITORS.items() if (path := shutil.which(program))},
    )


_EDITORS = {"VS Code": "code", "Neovim": "nvim", "Helix": "hx", "Emacs": "emacs", "Zed": "zed"}


def visible_gpu() -> str:
    """The GPU hardware that this machine shows, whatever llama.cpp was built for."""
    if shutil.which("nvidia-smi") or Path("/dev/nvidia0").exists():
        return "nvidia"
    if sys.platform == "darwin" and platform.machine() == "arm64":
        return "apple"
    return "amd" if Path("/dev/kfd").exists() else ""


def _model(settings: Settings, model: str) -> tuple[FoundModel | None, ModelShape | None, str]:
    found = None
    try:
        found = find(settings, model)
        return found, read_shape(found.path), ""
    except ModelError as error:
        return found, None, str(error)


def _folders() -> tuple[Folder, ...]:
    cache = Path(platformdirs.user_cache_dir("gemma-lsp", appauthor=False))
    return (
        _folder("sockets and engine logs", runtime_folder(), private=True),
        _folder("cache", cache),
        _folder("snapshots", snapshot_folder()),
        _folder("default model", cache_folder()),
        _folder("your models", own_folder()),
    )


def _folder(what: str, path: Path, *, private: bool = False) -> Folder:
    mode = stat.S_IMODE(path.stat().st_mode) if path.is_dir() else None
    nearest = next(folder for folder in (path, *path.parents) if folder.exists())
    return Folder(what=what, path=path, mode=mode, writable=_writable(nearest), private=private)


def _writable(folder: Path) -> bool:
    return os.access(folder, os.W_OK | os.X_OK)
