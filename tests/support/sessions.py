"""Sessions for the server's tests: a raw client, a scripted engine, and the first messages of every conversation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from gemma_lsp.config.schema import Settings
from gemma_lsp.engine.client import EngineClient
from tests.support.raw_client import INITIALIZE, RawClient, served
from tests.support.scripted import ScriptedEngine

URI = "untitled:Untitled-1"


class SlowEngine(ScriptedEngine):
    """Never answers: what is asked of it runs until it is cancelled."""

    def __init__(self) -> None:
        super().__init__("x")
        self.running = asyncio.Event()

    async def generate(self, workspace: str, prompt: Any, options: Any) -> AsyncIterator[Any]:
        self.running.set()
        try:
            await asyncio.Event().wait()
            yield  # makes this a generator
        finally:
            self.cancelled += 1


def factory(engine: EngineClient) -> Callable[[Settings], Any]:
    async def make(settings: Settings) -> EngineClient:
        return engine

    return make


def quiet(engine: EngineClient | None = None) -> AbstractAsyncContextManager[RawClient]:
    return served(factory(engine or ScriptedEngine("pass")))


async def started(client: RawClient, **capabilities: Any) -> None:
    await client.result("initialize", {**INITIALIZE, "capabilities": capabilities})
    client.notify("initialized", {})


def open_document(client: RawClient, text: str = "def area(width, height):\n    return ", uri: str = URI) -> None:
    document = {"uri": uri, "languageId": "python", "version": 1, "text": text}
    client.notify("textDocument/didOpen", {"textDocument": document})


async def ready(client: RawClient) -> None:
    async with asyncio.timeout(20):
        while not any(w["state"] == "ready" for w in (await client.result("gemma-lsp/status"))["workspaces"]):
            await asyncio.sleep(0.01)


FILES = {
    "pyproject.toml": "[project]\nname = 'shop'\n",
    "shop/rates.py": "def rate(weight):\n    return weight * 3\n",
    "shop/cart.py": "from shop.rates import rate\n\n\ndef total(items):\n    return sum(rate(i) for i in items)\n",
}


def write_files(root: Path, files: dict[str, str]) -> Path:
    """A little workspace."""
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(text.encode())
    return root


async def started_in(client: RawClient, root: Path, options: Any = None, name: str = "", **capabilities: Any) -> Any:
    """A session on a folder, from initialize until the prompt is resident; the result of initialize."""
    result = await initialized_in(client, root, options, name, **capabilities)
    await ready(client)
    return result


async def initialized_in(
    client: RawClient, root: Path, options: Any = None, name: str = "", **capabilities: Any
) -> Any:
    """The same, not waiting for the prompt."""
    params = {**INITIALIZE, "rootUri": root.as_uri(), "capabilities": capabilities, "initializationOptions": options}
    if name:
        params["clientInfo"] = {"name": name}
    result = await client.result("initialize", params)
    client.notify("initialized", {})
    return result


def open_file(client: RawClient, path: Path, text: str | None = None) -> str:
    """Opens a file as it is on disk, or with another text; returns its URI."""
    content = path.read_bytes().decode() if text is None else text
    open_document(client, content, path.as_uri())
    return path.as_uri()


def replace_text(client: RawClient, uri: str, text: str, version: int = 2) -> None:
    """Changes all of a document."""
    identifier = {"uri": uri, "version": version}
    client.notify("textDocument/didChange", {"textDocument": identifier, "contentChanges": [{"text": text}]})


def at(uri: str, line: int, character: int) -> dict[str, Any]:
    """The parameters of a request about a place."""
    return {"textDocument": {"uri": uri}, "position": {"line": line, "character": character}}


def inline_at(uri: str, line: int, character: int, kind: int = 1) -> dict[str, Any]:
    """The parameters of an inline completion; kind 1 is asked for, 2 comes with typing."""
    return {**at(uri, line, character), "context": {"triggerKind": kind}}


def between(start: tuple[int, int], end: tuple[int, int]) -> dict[str, Any]:
    """A range."""
    return {
        "start": {"line": start[0], "character": start[1]},
        "end": {"line": end[0], "character": end[1]},
    }


def selection(uri: str, range_: dict[str, Any] | None = None, **context: Any) -> dict[str, Any]:
    """What a code action is asked for."""
    place = range_ or between((0, 0), (1, 21))
    return {"textDocument": {"uri": uri}, "range": place, "context": {"diagnostics": [], **context}}
