"""What several benches do alike: load the model, read options, write results."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from gemma_lsp.bench.driver import ScoringBackend
    from gemma_lsp.bench.session import Load, LoadOptions

ModelFile = Annotated[str, typer.Option("--model", metavar="FILE", help="A GGUF file; else as the settings say.")]
Sample = Annotated[int, typer.Option("--sample", min=0, help="So many of the tasks, drawn at random; 0: all.")]
Seed = Annotated[int, typer.Option("--seed", help="Which ones are drawn.")]
Together = Annotated[int, typer.Option("--together", min=1, max=32, help="Answers made at a time, in one batch.")]


def _writable(path: Path | None) -> Path | None:
    """Looked at before anything is measured, which may take hours. Raises `typer.BadParameter`."""
    if path is not None:
        folder = path.absolute().parent
        if path.is_dir() or not folder.is_dir():
            wrong = f"{path} is a folder" if path.is_dir() else f"there is no folder {folder}"
            raise typer.BadParameter(f"{wrong}; name a file in one that is there")
        if not os.access(path if path.exists() else folder, os.W_OK):
            raise typer.BadParameter(f"{path} may not be written; name another file")
    return path


def _drawable(path: Path | None) -> Path | None:
    from gemma_lsp.bench.plotting import INSTALL

    if path is not None and find_spec("matplotlib") is None:
        raise typer.BadParameter(f"a plot needs matplotlib; run {INSTALL}, or leave --plot out")
    return _writable(path)


JsonKept = Annotated[
    Path | None,
    typer.Option(
        "--json", metavar="OUT", callback=_writable, help="Everything; what is there already is not measured again."
    ),
]
JsonReport = Annotated[
    Path | None, typer.Option("--json", metavar="OUT", callback=_writable, help="Everything that was measured.")
]
Picture = Annotated[
    Path | None, typer.Option("--plot", metavar="OUT.svg", callback=_drawable, help="A picture; needs matplotlib.")
]


def loader_for(model: str, repo: Path) -> Load:
    """Loads the wanted model as the engine would, but for the sizes that the bench decides."""
    from gemma_lsp.backends.llama import LlamaBackend, LlamaOptions
    from gemma_lsp.cli.engines import find, settings_for

    settings = settings_for(repo)
    path = find(settings, model).path

    def load(options: LoadOptions) -> ScoringBackend:
        backend = LlamaBackend(
            LlamaOptions(
                path=str(path),
                n_ctx=options.n_ctx,
                gpu_layers=settings.model.gpu_layers,
                threads=settings.model.threads,
                flash_attention=settings.model.flash_attention,
                kv_type=settings.model.kv_type,
                n_batch=settings.model.n_batch,
                n_trunks=options.n_trunks,
                masks=settings.engine.masks,
                n_outputs=options.n_outputs,
            )
        )
        if options.shifts:
            backend.try_shifts()
        return backend

    return load


def numbers(text: str, option: str) -> tuple[int, ...]:
    """Numbers with commas between them, at least one. Raises `typer.BadParameter`."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part.isdecimal() for part in parts):
        raise typer.BadParameter("give numbers with commas between them", param_hint=option)
    return tuple(dict.fromkeys(map(int, parts)))


def write_json(found: dict[str, Any], path: Path) -> None:
    """Writes a report's documented shape. Raises `ConfigError`."""
    import json

    from gemma_lsp.base.errors import ConfigError

    try:
        path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"the report cannot be written to {path}: {error.strerror}; choose another --json") from error
