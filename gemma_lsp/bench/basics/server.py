"""The real server over stdio, as an editor drives it, while its engine reads a repository. Event loop only."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from gemma_lsp.base.errors import GemmaLspError
from gemma_lsp.bench.basics.types import Serving, Spread
from gemma_lsp.bench.editor_client import EditorClient, ServerError
from gemma_lsp.bench.pace.indexing import latency

LIMIT_S = 300.0
FEWEST = 50  # requests of each kind from which a p99 is told
_STATUS = "gemma-lsp/status"  # answered from memory, by the event loop alone
_POLL_S = 0.1
_PAUSE_S = 0.02  # a fast typist's keys are five times as far apart
_TYPED = "# a remark typed while the model reads "
_SELECTED = 3  # lines

Json = Any
Say = Callable[[str], None]


class ServingError(GemmaLspError):
    """The server did not get to where it could be measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """`command` starts a server; `options` are its initializationOptions; `samples`: requests of each kind at most."""

    command: Sequence[str]
    env: Mapping[str, str]
    root: Path
    log: Path
    options: Json
    starts: int = 5
    samples: int = 400


async def measure_serving(options: ServeOptions, repo_bytes: int, say: Say) -> Serving:
    """Several starts, then one session. Raises `GemmaLspError`."""
    from_start, from_read = [], []
    for run in range(options.starts):
        say(f"initialize: {run + 1} of {options.starts}")
        from_start.append(await _initialized_ms(options, running=False))
        from_read.append(await _initialized_ms(options, running=True))
    async with _session(options) as client:
        await client.initialize(options.root, options.options)
        say("waiting for the prefill")
        begin = await _prefilling(client)
        typed = await _typed(client, options, say)
        if len(typed.menus) < FEWEST:
            raise ServingError("the prefill ended too soon to measure beside it; choose a larger --n-ctx or --model")
        standing = await client.request(_STATUS, None)
        return Serving(
            initialize_from_start_ms=Spread.of(from_start),
            initialize_from_read_ms=Spread.of(from_read),
            request=latency(typed.requests),
            did_change=latency(typed.changes),
            menu=latency(typed.menus),
            prefilled=(begin, typed.reached),
            rss_mb=psutil.Process(client.pid).memory_info().rss / 1e6,
            files=standing["workspaces"][0]["files"],
            repo_bytes=repo_bytes,
        )


async def _initialized_ms(options: ServeOptions, *, running: bool) -> float:
    """Until `initialize` is answered: since the process was started, or by a process that is up and idle."""
    start = time.perf_counter()
    async with _session(options) as client:
        if running:
            with contextlib.suppress(ServerError):  # not initialized yet, it says
                await client.request(_STATUS, None)
            start = time.perf_counter()
        async with asyncio.timeout(LIMIT_S):
            await client.greet(options.root, options.options)
        return 1000 * (time.perf_counter() - start)


async def _prefilling(client: EditorClient) -> tuple[int, int]:
    """Waits until the engine evaluates the prompt; tokens done and in all. Raises `ServingError`."""
    give_up = time.monotonic() + LIMIT_S
    while time.monotonic() < give_up:
        standing = await client.request(_STATUS, None)
        error = standing["engine"]["error"] or "; ".join(w["error"] for w in standing["workspaces"])
        if error:
            raise ServingError(f"the server cannot be measured: {error}")
        if (progress := _progress(standing)) is not None:
            return progress
        await asyncio.sleep(_POLL_S)
    raise ServingError(f"no prefill has begun within {LIMIT_S:.0f} s")


def _progress(standing: Json) -> tuple[int, int] | None:
    """Tokens done and in all while a prompt is being read, else None."""
    for workspace in standing["workspaces"]:
        progress = workspace["progress"]
        if workspace["state"] == "warming" and progress and progress["done"] < progress["total"]:
            return progress["done"], progress["total"]
    return None


@dataclass(slots=True)
class _Typed:
    """Seconds of each, and how far the prefill had come: (done, total) tokens."""

    requests: list[float] = field(default_factory=list)
    changes: list[float] = field(default_factory=list)
    menus: list[float] = field(default_factory=list)
    reached: tuple[int, int] = (0, 0)


async def _typed(client: EditorClient, options: ServeOptions, say: Say) -> _Typed:
    """Requests, keys and the menu of actions in turn for as long as the prefill runs.

    A change is timed until a request sent right behind it is answered, so the measure is never too small.
    """
    path = next(path for path in sorted(options.root.rglob("*.py")) if path.name != "__init__.py")
    text = path.read_text("utf-8")
    client.open(path, text)
    typed, n_lines = _Typed(), text.count("\n")
    say("requests, keys and menus while it reads")
    while len(typed.menus) < options.samples:
        start = time.perf_counter()
        standing = await client.request(_STATUS, None)
        spent = time.perf_counter() - start
        progress = _progress(standing)
        if progress is None:
            break
        typed.reached = progress
        typed.requests.append(spent)
        await asyncio.sleep(_PAUSE_S)
        n_keys = len(typed.changes)
        at = {"line": 0, "character": n_keys}
        start = time.perf_counter()
        client.edit(path, at, at, _TYPED[n_keys % len(_TYPED)])
        await client.request(_STATUS, None)
        typed.changes.append(time.perf_counter() - start)
        await asyncio.sleep(_PAUSE_S)
        line = n_keys * n_lines // options.samples
        selection = {"start": {"line": line, "character": 0}, "end": {"line": line + _SELECTED, "character": 0}}
        asked = {"textDocument": {"uri": path.as_uri()}, "range": selection, "context": {"diagnostics": []}}
        start = time.perf_counter()
        await client.request("textDocument/codeAction", asked)
        typed.menus.append(time.perf_counter() - start)
        await asyncio.sleep(_PAUSE_S)
    return typed


@contextlib.asynccontextmanager
async def _session(options: ServeOptions) -> AsyncIterator[EditorClient]:
    client = await EditorClient.start(options.command, options.log, lambda method, params: None, options.env)
    try:
        yield client
    finally:
        await client.stop()
