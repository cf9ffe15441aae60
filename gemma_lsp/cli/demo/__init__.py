"""`gemma-lsp demo`: the real server, driven over stdio as an editor does it, on a sample repository."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from gemma_lsp.base.programs import own_module
from gemma_lsp.bench.editor_client import EditorClient
from gemma_lsp.cli import console
from gemma_lsp.cli.demo.sample import copy_sample
from gemma_lsp.cli.demo.screen import Screen
from gemma_lsp.cli.demo.script import FAST, Demo, Pace
from gemma_lsp.cli.engines import IDLE_ENVIRONMENT
from gemma_lsp.models.default_model import FILE_NAME, default_model
from gemma_lsp.models.discover import Search, find_model

_LOG_LINES = 15
ENGINE_LIMIT_S = 30
_SMALL_MODEL = (
    "Gemma 3 270M is a base model of 250 MB: its words only show the machinery. "
    "For work take one that follows instructions, such as Gemma 4 12B (about 7 GB at 4 bits; larger than any measured "
    "so far): download a GGUF file, run `make demo MODEL=file.gguf`, and set model.path in the editor or put the file "
    "where `gemma-lsp models` finds it. docs/models.md says which model fits which machine."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """`model` "" is the default model; `fast` explains briefly and reviews nothing."""

    model: str = ""
    fast: bool = False


def run_demo(options: DemoOptions) -> int:
    """Runs the demo; the exit code: 1 if a step failed."""
    out = console.stdout()
    screen = Screen(out)
    started = perf_counter()
    with tempfile.TemporaryDirectory(prefix="gemma-lsp-demo-") as folder:
        root = copy_sample(Path(folder).resolve())
        model = _model(options)
        screen.line("gemma-lsp demo: the real server over stdio, on a copy of fixtures/parcels", "bold")
        screen.line(f"model: {model}")
        if model.name == FILE_NAME:
            screen.line(_SMALL_MODEL, "yellow")
        failed = asyncio.run(_play(screen, root, model, FAST if options.fast else Pace()))
        if failed:
            _show_log(screen, root.parent / "server.log")
    screen.heading("Done" if not failed else "Failed: " + ", ".join(failed))
    screen.line(f"{perf_counter() - started:,.0f} s in all")
    if model.name == FILE_NAME:
        screen.line(_SMALL_MODEL, "yellow")
    return int(bool(failed))


def _model(options: DemoOptions) -> Path:
    """The named model or the default one; never one that happens to lie around, so that runs compare."""
    return find_model(Search(model_path=options.model, named_by="--model")).path if options.model else default_model()


async def _play(screen: Screen, root: Path, model: Path, pace: Pace) -> list[str]:
    """Two sessions with an engine of the demo's own; the names of the steps that failed."""
    demo, own = Demo(screen, root, pace), root.parent / "engine"
    command = own_module("gemma_lsp", "serve", "--model", str(model))
    env = {IDLE_ENVIRONMENT: "1", "GEMMA_LSP_RUNTIME_DIR": str(own), "GEMMA_LSP_SNAPSHOT_DIR": str(own / "snapshots")}
    for play in (demo.run, demo.run_again):
        client = await EditorClient.start(command, root.parent / "server.log", demo.listen, env)
        try:
            await play(client)
        finally:
            screen.close()
            await client.stop()
            await _engine_gone(own)
        if demo.failed:
            break
    return demo.failed


async def _engine_gone(runtime: Path) -> None:
    """Waits for the engine's end, which is soon after its last client's."""
    for _ in range(ENGINE_LIMIT_S * 10):
        if not [*runtime.glob("*.sock"), *runtime.glob("*.json")]:
            return
        await asyncio.sleep(0.1)


def _show_log(screen: Screen, log: Path) -> None:
    """The end of what the server logged."""
    with suppress(OSError):
        for line in log.read_text("utf-8", "replace").splitlines()[-_LOG_LINES:]:
            screen.line(line, "dim")
