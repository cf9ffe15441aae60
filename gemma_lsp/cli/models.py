"""`gemma-lsp models`: the models on this machine, what they look like and what context fits. Opens headers only."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.markup import escape

from gemma_lsp.base.errors import ModelError
from gemma_lsp.cli import console
from gemma_lsp.cli.engines import engine_spec, find
from gemma_lsp.cli.machine import Machine, plan_for, this_machine
from gemma_lsp.config.schema import Settings
from gemma_lsp.models.default_model import INSTALL, default_model
from gemma_lsp.models.discover import FoundModel, Search, candidates
from gemma_lsp.models.places import ModelFile, own_folder
from gemma_lsp.models.shape import ModelShape, read_shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One model. `n_ctx` is the context that fits, 0 where none does; `problem` says why it cannot be used."""

    name: str
    place: str
    path: Path
    n_bytes: int
    shape: ModelShape | None = None
    n_ctx: int = 0
    problem: str = ""
    chosen: bool = False

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        shape = self.shape
        return {
            "name": self.name,
            "place": self.place,
            "path": str(self.path),
            "bytes": self.n_bytes,
            "architecture": shape.architecture if shape else None,
            "trainedContext": shape.n_ctx_train if shape else None,
            "context": self.n_ctx,
            "chat": shape.has_chat_template if shape else None,
            "fim": shape.fim.is_complete if shape else None,
            "problem": self.problem or None,
            "chosen": self.chosen,
        }


def run_models(settings: Settings, *, as_json: bool) -> None:
    """Prints the list."""
    models = list_models(settings, this_machine())
    if as_json:
        console.print_json([model.to_json() for model in models])
        return
    out = console.stdout()
    if not models:
        out.print(escape(f"no model was found; put a GGUF file into {own_folder()}, or run {INSTALL}"))
        return
    headings = ("", "model", "in", "size", "kind", "context that fits", "file")
    console.print_table(out, headings, [_row(model) for model in models], right=("size",))


def list_models(settings: Settings, machine: Machine) -> list[Listed]:
    """Every candidate, best first, with the default model last where it is installed; the chosen one is marked."""
    files = list(candidates(Search()))
    try:
        path = default_model()
        files.append(ModelFile(path=path, name=path.name, place="pip (default-model)", n_bytes=path.stat().st_size))
    except ModelError:
        pass  # not installed: nothing to list
    chosen = _chosen(settings)
    if chosen and not any(_same(file.path, chosen.path) for file in files):
        files.insert(0, _named(chosen))
    return [_listed(file, settings, machine, chosen) for file in files]


def _chosen(settings: Settings) -> FoundModel | None:
    try:
        return find(settings)
    except ModelError:
        return None


def _named(chosen: FoundModel) -> ModelFile:
    path = chosen.path
    return ModelFile(path=path, name=path.name, place=chosen.origin, n_bytes=path.stat().st_size)


def _listed(file: ModelFile, settings: Settings, machine: Machine, chosen: FoundModel | None) -> Listed:
    shape, n_ctx, problem = None, 0, ""
    try:
        shape = read_shape(file.path)
        n_ctx = plan_for(engine_spec(settings, file.path), shape, machine).n_ctx
    except ModelError as error:
        problem = str(error)
    return Listed(
        name=file.name,
        place=file.place,
        path=file.path,
        n_bytes=file.n_bytes,
        shape=shape,
        n_ctx=n_ctx,
        problem=problem,
        chosen=chosen is not None and _same(file.path, chosen.path),
    )


def _row(model: Listed) -> tuple[object, ...]:
    shape = model.shape
    kind = f"{shape.architecture}, {'chat' if shape.has_chat_template else 'base'}" if shape else ""
    if shape and shape.fim.is_complete:
        kind += ", fill-in-the-middle"
    context = f"{model.n_ctx:,} of {shape.n_ctx_train:,}" if shape and model.n_ctx else model.problem
    mark, size = "*" if model.chosen else "", console.size(model.n_bytes)
    return mark, model.name, model.place, size, kind, context, model.path


def _same(one: Path, two: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(two)
