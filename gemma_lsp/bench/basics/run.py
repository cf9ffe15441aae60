"""`gemma-lsp bench basics`: one run of everything, in an order in which nothing disturbs what is measured next.

The engine is a process of its own, as in the product, with a folder for its socket that no other engine uses. Blocks.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from gemma_lsp import __version__
from gemma_lsp.bench.basics.llama import LlamaBench, find_llama_bench
from gemma_lsp.bench.basics.server import ServeOptions, measure_serving
from gemma_lsp.bench.basics.source import copy_library
from gemma_lsp.bench.basics.speed import SpeedOptions, Speeds, measure_cancel, measure_speed, tokens_mb_per_s
from gemma_lsp.bench.basics.types import Basics, Cancelled, Indexing, Spread
from gemma_lsp.bench.pace.indexing import LINES, IndexSpeed, index_speed, keystrokes, read_index, with_long_file
from gemma_lsp.engine.connect import SocketClient
from gemma_lsp.engine.messages import ModelInfo
from gemma_lsp.engine.spec import EngineSpec

Say = Callable[[str], None]
_FOLDER = "GEMMA_LSP_RUNTIME_DIR"


@dataclass(frozen=True, slots=True, kw_only=True)
class BasicsOptions:
    """What is measured. `spec` is the engine's; `serve` starts a server with the same model; `env` is for it.

    `against`: the folder of llama.cpp's binaries. Sizes in bytes: of the repository that is served, and of the source
    that the growth of memory is told from.
    """

    spec: EngineSpec
    serve: tuple[str, ...]
    env: dict[str, str]
    against: Path | None = None
    runs: int = 5
    n_prompt: int = 1024
    n_decode: int = 64
    repo_bytes: int = 5_000_000
    growth_bytes: int = 20_000_000
    token_bytes: int = 2_000_000
    keys: int = 1_000


def run_basics(options: BasicsOptions, say: Say) -> Basics:
    """Measures for some minutes. Raises `GemmaLspError`."""
    program = find_llama_bench(options.against) if options.against is not None else ""
    load_before = _load()
    with tempfile.TemporaryDirectory(prefix="glsp-") as name, _own_engines(Path(name) / "run"):
        folder = Path(name).resolve()
        say("copying source")
        copy_library(folder / "large", options.growth_bytes)
        repo_bytes = copy_library(folder / "repo", options.repo_bytes)
        indexed = _indexed(options, folder, say)
        source = _text(folder / "repo", options.token_bytes)
        spoken = asyncio.run(_spoken(options, program, source, say))
        serving = asyncio.run(measure_serving(_serving(options, folder), repo_bytes, say))
    indexing = replace(
        indexed,
        tokens_mb_per_s=spoken.tokens_mb_per_s,
        tokens_share=_share(indexed.mb_per_s.median, spoken.tokens_mb_per_s),
    )
    return Basics(
        about=_about(options, spoken, (load_before, _load())),
        prefill=spoken.speeds.prefill,
        decode=spoken.speeds.decode,
        decode_guessing=spoken.speeds.decode_guessing,
        cancel=spoken.cancel,
        indexing=indexing,
        serving=serving,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spoken:
    """What the engine's client measured."""

    model: ModelInfo
    speeds: Speeds
    cancel: Cancelled
    tokens_mb_per_s: float
    theirs: str


async def _spoken(options: BasicsOptions, program: str, source: str, say: Say) -> _Spoken:
    say("loading the model")
    client = SocketClient(options.spec)
    await client.connect()
    try:
        model = await client.ready()
        theirs = LlamaBench(program=program, spec=options.spec, threads=model.threads) if program else None
        speed = SpeedOptions(n_prompt=options.n_prompt, n_decode=options.n_decode, runs=options.runs)
        say("tokenising")
        rate = await tokens_mb_per_s(client, source)
        speeds = await measure_speed(client, source, speed, theirs, say)
        cancel = await measure_cancel(client, source, speed, say)
        return _Spoken(
            model=model,
            speeds=speeds,
            cancel=cancel,
            tokens_mb_per_s=rate,
            theirs=await asyncio.to_thread(theirs.build) if theirs else "",
        )
    finally:
        await client.close()


def _indexed(options: BasicsOptions, folder: Path, say: Say) -> Indexing:
    """Memory first: a process that has indexed before uses what it freed."""
    say("indexing")
    grown = index_speed(folder / "large")
    alone, helped = list[IndexSpeed](), list[IndexSpeed]()
    for _ in range(options.runs):  # in turns, so that the machine's mood falls on both
        alone.append(index_speed(folder / "repo", helpers=0))
        helped.append(index_speed(folder / "repo"))
    say("typing")
    index, path = with_long_file(read_index(folder / "repo"))
    return Indexing(
        mb_per_s=Spread.of([speed.mb_per_s for speed in alone]),
        helped_mb_per_s=Spread.of([speed.mb_per_s for speed in helped]),
        n_bytes=alone[0].n_bytes,
        tokens_mb_per_s=0.0,
        tokens_share=0.0,
        growth_bytes=grown.n_bytes,
        growth_mb=grown.rss_growth / 1e6,
        key=keystrokes(index, path, options.keys, 0),
        key_lines=LINES,
    )


def _serving(options: BasicsOptions, folder: Path) -> ServeOptions:
    spec = options.spec
    settings = {"engine": {"snapshot_mb": 0}, "model": {"n_ctx": spec.n_ctx, "n_batch": spec.n_batch}}
    return ServeOptions(
        command=options.serve,
        env=options.env,
        root=folder / "repo",
        log=folder / "server.log",
        options=settings,
        starts=options.runs,
    )


def _share(parsing: float, tokenising: float) -> float:
    """Share of the time that tokenising takes of both, where each is told in bytes a second."""
    return parsing / (parsing + tokenising)


def _text(folder: Path, n_bytes: int) -> str:
    """Source of the folder, one file after the other, of about `n_bytes`."""
    parts: list[str] = []
    left = n_bytes
    for path in sorted(folder.rglob("*.py")):
        parts.append(path.read_text("utf-8"))
        left -= len(parts[-1])
        if left <= 0:
            break
    return "\n".join(parts)


@contextlib.contextmanager
def _own_engines(folder: Path) -> Iterator[None]:
    """Engines that are started here listen where nobody else looks; the folder goes when they have gone."""
    before = os.environ.get(_FOLDER)
    os.environ[_FOLDER] = str(folder)
    try:
        yield
        _wait_until_empty(folder)
    finally:
        os.environ.pop(_FOLDER)
        if before is not None:
            os.environ[_FOLDER] = before


def _wait_until_empty(folder: Path, limit_s: float = 30.0) -> None:
    give_up = time.monotonic() + limit_s
    while any(folder.glob("*.sock")) and time.monotonic() < give_up:
        time.sleep(0.1)


def _load() -> list[float]:
    """Over 1, 5 and 15 minutes: what else the machine was doing."""
    return [round(value, 2) for value in psutil.getloadavg()]


def _about(options: BasicsOptions, spoken: _Spoken, loads: tuple[list[float], list[float]]) -> dict[str, Any]:
    spec, model = options.spec, spoken.model
    return {
        "gemma_lsp": __version__,
        "model": {"name": model.name, "file": Path(spec.model).name, "n_swa": model.n_swa, "n_vocab": model.n_vocab},
        "settings": {
            "n_ctx": model.n_ctx,
            "n_batch": spec.n_batch,
            "threads": model.threads,
            "flash_attention": spec.flash_attention,
            "kv_type": spec.kv_type,
            "nice": spec.nice,
            "runs": options.runs,
        },
        "llama_cpp": {"ours": model.build, "theirs": spoken.theirs or None},
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "python": platform.python_version(),
            "cores": psutil.cpu_count(logical=False),
            "logical_cores": psutil.cpu_count(),
            "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
            "devices": list(model.devices),
            "load_average_before": loads[0],
            "load_average_after": loads[1],
        },
    }
