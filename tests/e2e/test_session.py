"""The whole life of a session over the wire, with a scripted model: encodings, folders, settings, findings, the end.

What bad input does to the real process is in test_bad_input.py, single features in tests/unit/test_server_session.py.
"""

from __future__ import annotations

import asyncio
import gc
import json
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gemma_lsp.app import App, Silence
from tests.e2e.server import SERVE, environment
from tests.support.raw_client import INITIALIZE, RawClient, spawned
from tests.support.scripted import ScriptedEngine, scripted_model
from tests.support.sessions import (
    FILES,
    URI,
    at,
    between,
    factory,
    inline_at,
    open_document,
    open_file,
    quiet,
    ready,
    replace_text,
    started,
    started_in,
    write_files,
)

NO_DEBOUNCE = {"completion": {"debounce_ms": 0}}
CLAIM = {"quote": "return weight * 3", "what": "the surcharge is missing", "why": "", "severity": "error"}
FINDING = json.dumps({"findings": [{**CLAIM, "confidence": 90}]})
CORRECTED = "weight):\n    return weight * 3 + 1\n```"
CORRECTED_SNAKE = "weight):\n    '\U0001f40d'; return weight * 3 + 1\n```"
PULL = {"diagnostic": {}}
SNAKE = "\U0001f40d"


@pytest.fixture(autouse=True)
def _reviews_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gemma_lsp.server.reviews.QUIET_S", 0.0)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return write_files(tmp_path / "shop", FILES)


# -- encodings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("encoding", "wide"), [("utf-8", 4), ("utf-16", 2), ("utf-32", 1)])
async def test_ranges_behind_astral_characters(shop: Path, encoding: str, wide: int) -> None:
    """Of completions, of findings and of the selection of an action, all in the units that were negotiated."""
    text = f"def rate(weight):\n    '{SNAKE}'; return weight * 3\n"
    start = len("    '") + wide + len("'; ")
    async with quiet(ScriptedEngine(FINDING, CORRECTED_SNAKE, "kilo", model=scripted_model("chat"))) as client:
        offered = {"positionEncodings": ["utf-7", encoding, "utf-16"]}
        told = await started_in(client, shop, NO_DEBOUNCE, general=offered, textDocument=PULL)
        assert told["capabilities"]["positionEncoding"] == encoding
        uri = open_file(client, shop / "shop/rates.py", text)
        report = await client.result("textDocument/diagnostic", {"textDocument": {"uri": uri}})
        assert [found["range"] for found in report["items"]] == [between((1, start), (1, start + 17))]
        cursor = start + len("return ")
        change = {"range": between((1, cursor), (1, start + 17)), "text": ""}
        changed = {"textDocument": {"uri": uri, "version": 2}, "contentChanges": [change]}
        client.notify("textDocument/didChange", changed)
        answer = await client.result("textDocument/inlineCompletion", inline_at(uri, 1, cursor))
        assert [item["range"] for item in answer["items"]] == [between((1, cursor), (1, cursor))]


@pytest.mark.parametrize("encodings", [None, [], ["utf-7"]])
async def test_without_an_encoding_that_we_know(encodings: list[str] | None) -> None:
    """It is UTF-16, which every client must have."""
    async with quiet() as client:
        general = {} if encodings is None else {"positionEncodings": encodings}
        answer = await client.result("initialize", {**INITIALIZE, "capabilities": {"general": general}})
        assert answer["capabilities"]["positionEncoding"] == "utf-16"


async def test_incremental_and_full_changes_in_one_notification() -> None:
    """Each builds on the one before; the model sees the last."""
    engine = ScriptedEngine("x")
    async with quiet(engine) as client:
        await started(client)
        open_document(client, "one\n")
        await ready(client)
        changes = [
            {"text": f"{SNAKE}a = 1\r\nb = "},
            {"range": between((0, 2), (0, 3)), "text": "value"},
            {"range": between((1, 4), (1, 4)), "text": "value + "},
        ]
        changed = {"textDocument": {"uri": URI, "version": 2}, "contentChanges": changes}
        client.notify("textDocument/didChange", changed)
        await client.result("textDocument/inlineCompletion", inline_at(URI, 1, 12))
        assert engine.asked[-1].text.endswith(f"{SNAKE}value = 1\nb = value + ")


# -- folders -----------------------------------------------------------------------------------------------------------


def folder(path: Path, name: str = "") -> dict[str, str]:
    return {"uri": path.as_uri(), "name": name or path.name}


async def names(client: RawClient) -> list[str]:
    return [workspace["name"] for workspace in (await client.result("gemma-lsp/status"))["workspaces"]]


@pytest.mark.parametrize(
    ("members", "wanted"),
    [
        (lambda root: {}, []),
        (lambda root: {"rootUri": root.as_uri()}, ["shop"]),
        (lambda root: {"rootPath": str(root)}, ["shop"]),
        (lambda root: {"rootPath": "relative", "workspaceFolders": None}, []),
        (lambda root: {"workspaceFolders": []}, []),
        (lambda root: {"rootUri": "file:///elsewhere", "workspaceFolders": [folder(root, "ours")]}, ["ours"]),
        (lambda root: {"workspaceFolders": [folder(root), folder(root, "twice")]}, ["shop"]),
        (lambda root: {"workspaceFolders": [folder(root), folder(root / "shop", "inner")]}, ["shop", "inner"]),
        (lambda root: {"workspaceFolders": [{"uri": "vscode-remote://x/y", "name": "far"}]}, []),
    ],
    ids=["nothing", "rootUri", "rootPath", "relative", "none", "folders win", "twice", "one in another", "remote"],
)
async def test_folders_at_the_start(shop: Path, members: Callable[[Path], Any], wanted: list[str]) -> None:
    """However a client names them; the same one twice is one."""
    async with quiet(ScriptedEngine("width * height")) as client:
        await client.result("initialize", {**INITIALIZE, **members(shop)})
        client.notify("initialized", {})
        assert await names(client) == wanted
        open_document(client)
        await ready(client)
        assert (await client.result("textDocument/inlineCompletion", inline_at(URI, 1, 11)))["items"]


async def test_a_folder_inside_another_and_one_that_is_renamed(shop: Path) -> None:
    """A document belongs to the innermost; a folder removed and added in one notification is there afterwards."""
    async with quiet(ScriptedEngine("width * height")) as client:
        await started_in(client, shop)
        open_file(client, shop / "shop/rates.py")

        async def files() -> dict[str, int]:
            return {w["name"]: w["files"] for w in (await client.result("gemma-lsp/status"))["workspaces"]}

        async def until(wanted: dict[str, int]) -> None:
            async with asyncio.timeout(20):
                while await files() != wanted:
                    await asyncio.sleep(0.01)

        inner = folder(shop / "shop", "inner")
        client.notify("workspace/didChangeWorkspaceFolders", {"event": {"added": [inner, inner], "removed": []}})
        await until({"shop": 3, "inner": 2})
        renamed = {"added": [{**inner, "name": "renamed"}], "removed": [inner]}
        client.notify("workspace/didChangeWorkspaceFolders", {"event": renamed})
        await until({"shop": 3, "renamed": 2})
        client.notify("workspace/didChangeWorkspaceFolders", {"event": {"added": [], "removed": [inner]}})
        await until({"shop": 3})


async def test_a_removed_folder_is_forgotten(shop: Path) -> None:
    """Its files, index and prompt go with it."""
    app = App(factory(ScriptedEngine("x")), Silence())
    app.add_folder(shop, "shop")
    await app.start()
    async with asyncio.timeout(20):
        while app.workspaces[0].phase != "ready":
            await asyncio.sleep(0.01)
    kept = weakref.ref(app.workspaces[0].resident), weakref.ref(app.workspaces[0].index)
    assert all(ref() is not None for ref in kept)
    await app.remove_folder(shop)
    await asyncio.sleep(0)
    gc.collect()
    assert [ref() for ref in kept] == [None, None]
    await app.close()


@pytest.mark.parametrize("uri", ["untitled:a.py", "git:/x/a.py?%7B%7D", "vscode-notebook-cell:/x/a.ipynb#W0", "x", ""])
async def test_documents_that_are_no_files(uri: str) -> None:
    """They are served from what the editor has, alone."""
    engine = ScriptedEngine("width * height")
    async with quiet(engine) as client:
        await started(client)
        open_document(client, uri=uri)
        await ready(client)
        answer = await client.result("textDocument/inlineCompletion", inline_at(uri, 1, 11))
        assert [item["insertText"] for item in answer["items"]] == ["width * height"]
        asked = {"textDocument": {"uri": uri}, "range": between((0, 0), (1, 11)), "context": {"diagnostics": []}}
        assert "error" not in await client.ask("textDocument/codeAction", asked)
        assert client.received("window/showMessage") == []


# -- settings ----------------------------------------------------------------------------------------------------------

ASKED = {"workspace": {"configuration": True}}


async def until_completing(client: RawClient, wanted: bool) -> None:
    """Whether completions are offered says which settings count."""
    async with asyncio.timeout(20):
        while bool((await client.result("textDocument/inlineCompletion", inline_at(URI, 1, 11)))["items"]) != wanted:
            await asyncio.sleep(0.01)


async def test_settings_that_come_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """The session does not wait for ever, and takes them when they are there; an older answer does not win."""
    monkeypatch.setattr("gemma_lsp.server.session.CONFIGURATION_LIMIT_S", 0.05)
    async with quiet(ScriptedEngine("width * height")) as client:
        questions: list[int] = []
        take = client._take

        def held(message: dict[str, Any]) -> None:
            if message.get("method") == "workspace/configuration":
                questions.append(message["id"])
            else:
                take(message)

        client._take = held  # type: ignore[method-assign]
        await started(client, **ASKED)
        open_document(client)
        await ready(client)
        await until_completing(client, True)
        client.notify("workspace/didChangeConfiguration", {"settings": None})
        async with asyncio.timeout(20):
            while len(questions) < 2:
                await asyncio.sleep(0.01)
        first, second = questions
        client.send({"jsonrpc": "2.0", "id": second, "result": [{"completion": {"enabled": False}}]})
        await until_completing(client, False)
        client.send({"jsonrpc": "2.0", "id": first, "result": [{"completion": {"enabled": True}}]})
        await client.result("gemma-lsp/status")
        await until_completing(client, False)


async def test_settings_that_are_taken_back() -> None:
    """Null means that nothing is set: the defaults count again."""
    async with quiet(ScriptedEngine("width * height")) as client:
        values: list[Any] = [{"completion": {"enabled": False}}]
        client.answerers["workspace/configuration"] = lambda params: values
        await started(client, **ASKED)
        open_document(client)
        await ready(client)
        await until_completing(client, False)
        values[0] = None
        client.notify("workspace/didChangeConfiguration", {"settings": None})
        await until_completing(client, True)


# -- findings of the workspace -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", [None, "mine"])
async def test_findings_of_the_workspace(shop: Path, token: str | None) -> None:
    """What is known of open documents, whole or in parts; nobody is asked for it; closed documents are emptied."""
    engine = ScriptedEngine(FINDING, CORRECTED, model=scripted_model("chat"))
    async with quiet(engine) as client:
        told = await started_in(client, shop, textDocument=PULL)
        assert told["capabilities"]["diagnosticProvider"]["workspaceDiagnostics"] is True

        async def pulled(*previous: dict[str, str]) -> list[Any]:
            params = {"previousResultIds": list(previous), **({} if token is None else {"partialResultToken": token})}
            n_before = len(client.received("$/progress"))
            items = (await client.result("workspace/diagnostic", params))["items"]
            parts = client.received("$/progress")[n_before:]
            assert token is None or items == []
            return items + [item for part in parts for item in part["value"]["items"]]

        uri = open_file(client, shop / "shop/rates.py")
        open_file(client, shop / "shop/cart.py", "x = 1\n")
        assert await pulled() == []
        assert engine.asked == []
        full = await client.result("textDocument/diagnostic", {"textDocument": {"uri": uri}})
        n_asked = len(engine.asked)
        (report,) = await pulled()
        assert report == {"uri": uri, "version": 1, **full}
        known = {"uri": uri, "value": report["resultId"]}
        (again,) = await pulled(known)
        assert again == {"uri": uri, "version": 1, "kind": "unchanged", "resultId": report["resultId"]}
        client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
        (closed,) = await pulled(known)
        assert (closed["kind"], closed["items"], closed["version"]) == ("full", [], None)
        assert len(engine.asked) == n_asked


# -- the end -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ([], 1),
        (["exit"], 1),
        (["initialize"], 1),
        (["initialize", "exit"], 1),
        (["initialize", "initialized", "exit"], 1),
        (["shutdown", "exit"], 1),
        (["initialize", "shutdown", "exit"], 0),
        (["initialize", "initialized", "shutdown", "exit"], 0),
        (["initialize", "initialized", "shutdown", "shutdown", "exit"], 0),
    ],
)
async def test_every_end(tmp_path: Path, said: list[str], code: int) -> None:
    """The real process ends with 0 only after shutdown and exit, and always ends; each request has one answer."""
    async with spawned(SERVE, environment(), tmp_path / "server.log") as client:
        ids = [begun(client, method) for method in said]
        client.close_input()
        async with asyncio.timeout(20):
            assert await client.exit_code == code
        await client.closed.wait()
        assert all(len(client.answers(id_)) == 1 for id_ in ids if id_ is not None)


def begun(client: RawClient, method: str) -> int | None:
    """Sends it as what it is."""
    if method in ("exit", "initialized"):
        client.notify(method, {} if method == "initialized" else None)
        return None
    return client.begin(method, INITIALIZE if method == "initialize" else None)


async def test_a_question_asked_in_every_state_of_a_document(shop: Path) -> None:
    """Before it is open, open, changed, closed, and open again: an answer each, none of them an error."""
    async with quiet(ScriptedEngine("width * height")) as client:
        await started_in(client, shop, NO_DEBOUNCE)
        uri = (shop / "shop/rates.py").as_uri()

        async def ask() -> list[dict[str, Any]]:
            return [
                await client.ask("textDocument/inlineCompletion", inline_at(uri, 0, 0)),
                await client.ask("textDocument/completion", at(uri, 0, 0)),
            ]

        answers = await ask()
        open_file(client, shop / "shop/rates.py")
        answers += await ask()
        replace_text(client, uri, "")
        answers += await ask()
        client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
        answers += await ask()
        open_file(client, shop / "shop/rates.py")
        answers += await ask()
        assert [answer for answer in answers if "error" in answer] == []
