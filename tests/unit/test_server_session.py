"""The life of a session over the wire: folders, files on disk, the engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gemma_lsp.base.errors import EngineUnavailable, ModelMissing
from gemma_lsp.config.schema import Settings
from gemma_lsp.engine.client import EngineClient
from gemma_lsp.workspace.watch import DiskChanges
from tests.support.raw_client import INITIALIZE, served
from tests.support.scripted import ScriptedEngine
from tests.support.sessions import (
    factory,
    inline_at,
    open_document,
    open_file,
    quiet,
    ready,
    started,
    started_in,
    write_files,
)

pytestmark = pytest.mark.usefixtures("reviews")
NO_DEBOUNCE = {"completion": {"debounce_ms": 0, "prefetch": False, "candidates": 1}}


async def workspaces(client: Any) -> dict[str, int]:
    status = await client.result("gemma-lsp/status")
    return {workspace["name"]: workspace["files"] for workspace in status["workspaces"]}


async def until_workspaces(client: Any, wanted: dict[str, int]) -> None:
    async with asyncio.timeout(20):
        while await workspaces(client) != wanted:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(("name", "watched"), [("helix", True), ("Visual Studio Code", False)])
async def test_in_helix_the_disk_is_watched_although_it_says_that_it_does(
    shop: Path, monkeypatch: pytest.MonkeyPatch, name: str, watched: bool
) -> None:
    """A pull or a checkout changes files that are not open."""
    watches: list[object] = []

    async def watch(rules: object, *_: object) -> AsyncIterator[DiskChanges]:
        watches.append(rules)
        (shop / "shop/new.py").write_text("new = 1\n")
        yield DiskChanges(changed=frozenset({"shop/new.py"}))

    monkeypatch.setattr("gemma_lsp.app.member.watch", watch)
    async with quiet() as client:
        await started_in(client, shop, name=name, workspace={"didChangeWatchedFiles": {"dynamicRegistration": True}})
        await until_workspaces(client, {"shop": 4 if watched else 3})
        assert bool(watches) is watched


async def test_folders_come_and_go(shop: Path, tmp_path: Path) -> None:
    """An open document belongs to the deepest folder around it, or to none."""
    other = write_files(tmp_path / "other", {"other.py": "x = 1\n"})
    async with quiet() as client:
        await started_in(client, shop)
        await until_workspaces(client, {"shop": 3})
        uri = open_file(client, other / "other.py")
        await until_workspaces(client, {"shop": 3, "loose documents": 1})
        added = {"uri": other.as_uri(), "name": "second"}
        client.notify("workspace/didChangeWorkspaceFolders", {"event": {"added": [added], "removed": []}})
        await until_workspaces(client, {"second": 1, "shop": 3, "loose documents": 0})
        client.notify("workspace/didChangeWorkspaceFolders", {"event": {"added": [], "removed": [added, added]}})
        await until_workspaces(client, {"shop": 3, "loose documents": 1})
        client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
        await until_workspaces(client, {"shop": 3, "loose documents": 0})


async def test_without_a_folder() -> None:
    """Untitled documents and files from anywhere are completed, too; equal names are told apart."""
    engine = ScriptedEngine("width * height")
    async with quiet(engine) as client:
        await client.result("initialize", {**INITIALIZE, "workspaceFolders": [], "initializationOptions": NO_DEBOUNCE})
        client.notify("initialized", {})
        for uri in ("untitled:Untitled-1", "file:///nowhere/a.py", "file:///elsewhere/a.py"):
            open_document(client, "def area(width, height):\n    return ", uri)
            await ready(client)
            answer = await client.result("textDocument/inlineCompletion", inline_at(uri, 1, 11))
            assert answer["items"][0]["insertText"] == "width * height"
        assert await workspaces(client) == {"loose documents": 3}


async def test_what_changes_on_disk_is_read(shop: Path) -> None:
    """As the client reports it: new, changed and deleted files, whole folders too; open documents stay as they are."""
    async with quiet() as client:
        watching = {"didChangeWatchedFiles": {"dynamicRegistration": True}}
        await started_in(client, shop, workspace=watching)
        registered = await client.notification("client/registerCapability")
        assert [r["method"] for r in registered["registrations"]] == ["workspace/didChangeWatchedFiles"]
        (shop / "shop/new.py").write_text("y = 2\n")
        (shop / "pyproject.toml").unlink()
        changed = [{"uri": (shop / name).as_uri(), "type": 1} for name in ("shop/new.py", "pyproject.toml")]
        client.notify("workspace/didChangeWatchedFiles", {"changes": changed[:1]})
        await until_workspaces(client, {"shop": 4})
        client.notify("workspace/didChangeWatchedFiles", {"changes": changed[1:]})
        await until_workspaces(client, {"shop": 3})
        uri = open_file(client, shop / "shop/rates.py", "open = 1\n")
        for name in ("rates", "cart", "new"):
            (shop / f"shop/{name}.py").unlink()
        (shop / "shop").rmdir()
        client.notify("workspace/didChangeWatchedFiles", {"changes": [{"uri": (shop / "shop").as_uri(), "type": 3}]})
        await until_workspaces(client, {"shop": 1})
        client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
        await until_workspaces(client, {"shop": 0})


async def test_the_disk_is_watched_where_the_client_does_not(shop: Path) -> None:
    """Without dynamic registration the server watches by itself."""
    async with quiet() as client:
        await started_in(client, shop)
        async with asyncio.timeout(20):
            n = 0
            while (await workspaces(client))["shop"] == 3:  # the watch begins a moment after the session
                (shop / f"shop/new{n}.py").write_text("y = 2\n")
                n += 1
                await asyncio.sleep(0.3)


async def test_progress_of_the_start(shop: Path) -> None:
    """Indexing and reading, each with a readable token, from begin to end."""
    async with quiet() as client:
        await started_in(client, shop, window={"workDoneProgress": True})
        for title in ("indexing shop", "reading shop"):
            token = f"gemma-lsp: {title}"
            end = await client.notification(
                "$/progress", lambda p, token=token: p["token"] == token and p["value"]["kind"] == "end"
            )
            values = [p["value"] for p in client.received("$/progress") if p["token"] == token]
            assert values[0]["kind"] == "begin"
            assert values[0]["title"] == title
            assert end["value"]["message"]
        created = [p["token"] for p in client.received("window/workDoneProgress/create")]
        assert created == ["gemma-lsp: indexing shop", "gemma-lsp: reading shop"]


async def test_without_a_model_the_server_says_so_once_and_lives(shop: Path) -> None:
    """Completions are empty, a command says why, and the next settings are tried."""
    tries: list[str] = []

    async def make(settings: Settings) -> EngineClient:
        tries.append(settings.model.path)
        if settings.model.path != "good.gguf":
            raise ModelMissing("there is no model; set model.path")
        return ScriptedEngine("weight * 3")

    async with served(make) as client:
        await started(client)
        uri = open_file(client, shop / "shop/rates.py", "def rate(weight):\n    return ")
        warning = await client.notification("window/showMessage")
        assert warning == {"type": 2, "message": "gemma-lsp: there is no model; set model.path"}
        assert await client.result("textDocument/inlineCompletion", inline_at(uri, 1, 11)) is None
        status = await client.result("gemma-lsp/status")
        assert status["engine"] == {"state": "failed", "error": "there is no model; set model.path"}
        question = {"command": "gemma-lsp.ask", "arguments": [{"question": "why?"}]}
        assert await client.result("workspace/executeCommand", question) is None
        assert [m["type"] for m in client.received("window/showMessage")] == [2, 1]
        client.notify("workspace/didChangeConfiguration", {"settings": {"model": {"path": "good.gguf"}}})
        await ready(client)
        answer = await client.result("textDocument/inlineCompletion", inline_at(uri, 1, 11))
        assert answer["items"][0]["insertText"] == "weight * 3"


class MortalEngine(ScriptedEngine):
    """Dies at the first completion, and is there again afterwards."""

    def __init__(self) -> None:
        super().__init__(EngineUnavailable("the engine has stopped"), "weight * 3")
        self.warmed = 0

    async def warm(self, workspace: str, prompt: Any, on_progress: Any, *, moves: bool = False) -> Any:
        self.warmed += 1
        return await super().warm(workspace, prompt, on_progress, moves=moves)


async def test_an_engine_that_dies_is_used_again(shop: Path) -> None:
    """The completion is empty, no error is shown, and the prompt is read anew."""
    engine = MortalEngine()
    async with quiet(engine) as client:
        await started_in(client, shop, NO_DEBOUNCE)
        uri = open_file(client, shop / "shop/rates.py", "def rate(weight):\n    return ")
        assert await client.result("textDocument/inlineCompletion", inline_at(uri, 1, 11)) is None
        answer = await client.result("textDocument/inlineCompletion", inline_at(uri, 1, 11))
        assert answer["items"][0]["insertText"] == "weight * 3"
        async with asyncio.timeout(30):
            while engine.warmed < 2:
                await asyncio.sleep(0.05)
        assert client.received("window/showMessage") == []


async def test_the_factory_serves_every_folder_with_one_engine(shop: Path, tmp_path: Path) -> None:
    """Two folders, one engine."""
    made: list[Settings] = []

    async def make(settings: Settings) -> EngineClient:
        made.append(settings)
        return await factory(ScriptedEngine("x"))(settings)

    other = write_files(tmp_path / "other", {"other.py": "x = 1\n"})
    folders = [{"uri": path.as_uri(), "name": path.name} for path in (shop, other)]
    async with served(make) as client:
        await client.result("initialize", {**INITIALIZE, "workspaceFolders": folders})
        client.notify("initialized", {})
        async with asyncio.timeout(20):
            while [w["state"] for w in (await client.result("gemma-lsp/status"))["workspaces"]] != ["ready"] * 2:
                await asyncio.sleep(0.01)
    assert len(made) == 1
