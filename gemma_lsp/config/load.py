"""From the sources to `Settings`: the strongest valid value of each setting wins, and what is wrong is reported.

Strength: initializationOptions > workspace/configuration > [tool.gemma-lsp] in pyproject.toml > user file.
A repository may tune what is indexed and offered; it never sets a model, an engine, a command or a folder.
Nothing here raises: a source that cannot be read is a `Problem` like any other. Reads files; call it off the hot path.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any

import platformdirs

from gemma_lsp.base.errors import ConfigError
from gemma_lsp.config.catalog import catalog, sections
from gemma_lsp.config.schema import Settings
from gemma_lsp.config.values import read_value

SECTION_NAME = "gemma-lsp"
"""The section that is asked of the client by workspace/configuration, and the table in pyproject.toml."""


class Strength(IntEnum):
    """Where a value comes from; the greater wins."""

    USER_FILE = 1
    REPOSITORY = 2
    WORKSPACE_CONFIGURATION = 3
    INITIALIZATION_OPTIONS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something wrong with the configuration, to be shown once. `name` is the setting's dotted name, or the file's."""

    name: str
    origin: str
    message: str

    def __str__(self) -> str:
        return f"{self.name}: {self.message} ({self.origin})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Raw values from one place, with the problems met while reading it."""

    strength: Strength
    origin: str
    values: Mapping[str, object] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """Settings that are always usable, and what was wrong on the way to them."""

    settings: Settings
    problems: tuple[Problem, ...] = ()


def client_source(strength: Strength, raw: object) -> Source:
    """What an editor sent, whole or under a "gemma-lsp" key; null is empty."""
    origin = "initializationOptions" if strength is Strength.INITIALIZATION_OPTIONS else "workspace/configuration"
    if raw is None:
        return Source(strength=strength, origin=origin)
    if isinstance(raw, Mapping):
        inner = raw.get(SECTION_NAME, raw)
        if isinstance(inner, Mapping):
            return Source(strength=strength, origin=origin, values=inner)
        raw = inner
    message = f"expected an object of settings, got {type(raw).__name__}"
    return Source(
        strength=strength, origin=origin, problems=(Problem(name=SECTION_NAME, origin=origin, message=message),)
    )


def user_file() -> Path:
    """The user's own file, in the folder where this system keeps configuration."""
    return Path(platformdirs.user_config_dir("gemma-lsp", appauthor=False)) / "config.toml"


def user_source(path: Path | None = None) -> Source:
    """The user's file; empty where there is none."""
    return _toml_source(Strength.USER_FILE, path or user_file(), table=())


def repository_source(root: Path) -> Source:
    """[tool.gemma-lsp] of a repository's pyproject.toml; empty where there is none."""
    return _toml_source(Strength.REPOSITORY, root / "pyproject.toml", table=("tool", SECTION_NAME))


def merge(sources: Iterable[Source]) -> Loaded:
    """Settings from any number of sources, in any order. Each problem is reported once."""
    chosen: dict[str, Any] = {}
    problems: dict[Problem, None] = {}
    for source in sorted(sources, key=lambda source: source.strength):
        problems |= dict.fromkeys(source.problems)
        for name, value in _flatten(source.values):
            try:
                chosen[name] = _accept(source.strength, name, value)
            except ConfigError as error:
                problems[Problem(name=name, origin=source.origin, message=str(error))] = None
    return Loaded(settings=_build(chosen), problems=tuple(problems))


def new_problems(problems: Iterable[Problem], reported: set[Problem]) -> list[Problem]:
    """Those that were not reported yet; remembers them in `reported`."""
    fresh = [problem for problem in dict.fromkeys(problems) if problem not in reported]
    reported.update(fresh)
    return fresh


def _accept(strength: Strength, name: str, value: object) -> Any:
    info = catalog().get(name)
    if info is None:
        raise ConfigError(_unknown(name, value))
    if strength is Strength.REPOSITORY and not info.from_repository:
        raise ConfigError("a repository may not set this; set it in the editor or in the user file")
    return read_value(info, value)


def _unknown(name: str, value: object) -> str:
    if name in sections():
        return f"expected a table of settings, got {type(value).__name__}"
    close = difflib.get_close_matches(name, catalog(), n=1, cutoff=0.7)
    return f"no such setting; did you mean {close[0]}?" if close else "no such setting; see docs/configuration.md"


def _flatten(values: Mapping[str, object]) -> Iterable[tuple[str, object]]:
    """Dotted names and values; sections and dotted keys may be mixed, and null means not set."""
    for key, value in values.items():
        pairs: Iterable[tuple[str, object]] = [(key, value)]
        if isinstance(value, Mapping) and key in sections():
            pairs = [(f"{key}.{name}", item) for name, item in value.items()]
        yield from ((name, item) for name, item in pairs if item is not None)


def _build(chosen: Mapping[str, Any]) -> Settings:
    parts: dict[str, Any] = {}
    for name, made in sections().items():
        prefix = f"{name}."
        parts[name] = made(**{key.removeprefix(prefix): v for key, v in chosen.items() if key.startswith(prefix)})
    return Settings(**parts)


def _toml_source(strength: Strength, path: Path, table: tuple[str, ...]) -> Source:
    try:
        if not path.is_file():
            return Source(strength=strength, origin=str(path))
        values: object = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        problem = Problem(name=path.name, origin=str(path), message=f"cannot be read, so it is ignored: {error}")
        return Source(strength=strength, origin=str(path), problems=(problem,))
    for key in table:
        values = values.get(key, {}) if isinstance(values, dict) else values
    if isinstance(values, dict):
        return Source(strength=strength, origin=str(path), values=values)
    problem = Problem(name=".".join(table), origin=str(path), message="expected a table of settings")
    return Source(strength=strength, origin=str(path), problems=(problem,))
