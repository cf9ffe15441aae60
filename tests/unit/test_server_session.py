"""What a session does for an editor, over the wire, with a scripted model."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from gemma_lsp.base.errors import EngineError, EngineUnavailable, ModelMissing
from gemma_lsp.config.schema import Settings
from gemma_lsp.engine.client import EngineClient
from tests.support.raw_client import INITIALIZE, Refuse, served
from tests.support.scripted import Asked, ScriptedEngine, scripted_model
from tests.support.sessions import (
    FILES,
    SlowEngine,
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

NO_DEBOUNCE = {"completion": {"debounce_ms": 0, "prefetch": False, "candidates": 1}}
CART_END = "def total(items):\n    return "


@pytest.fixture(autouse=True)
def _reviews_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gemma_lsp.server.reviews.QUIET_S", 0.0)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return write_files(tmp_path / "shop", FILES)


# -- completions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("encoding", "character"), [("utf-8", 23), ("utf-16", 21), ("utf-32", 20)])
async def test_inline_completion_in_every_encoding(shop: Path, encoding: str, character: int) -> None:
    """The cursor stands behind an astral character; the range comes back in the same units."""
    engine = ScriptedEngine("items)")
    async with quiet(engine) as client:
        offered = {"positionEncodings": [encoding]}
        result = await started_in(client, shop, NO_DEBOUNCE, general=offered)
        assert result["capabilities"]["positionEncoding"] == encoding
        uri = open_file(client, shop / "shop/cart.py", 'name = "\U0001f40d"; x = len(')
        answer = await client.result("textDocument/inlineCompletion", inline_at(uri, 0, character))
        place = between((0, character), (0, character))
        assert answer["items"] == [{"insertText": "items)", "range": place}]
        assert engine.asked[-1].text.endswith('name = "\U0001f40d"; x = len(')


async def test_a_document_with_windows_line_ends(shop: Path) -> None:
    """The model never sees a carriage return, and lines keep their numbers."""
    engine = ScriptedEngine("weight")
    async with quiet(engine) as client:
        await started_in(client, shop, NO_DEBOUNCE)
        uri = open_file(client, shop / "shop/rates.py", "def rate(weight):\r\n    return 1\r\n")
        change = {"range": between((1, 11), (1, 12)), "text": ""}
        identifier = {"uri": uri, "version": 2}
        client.notify("textDocument/didChange", {"textDocument": identifier, "contentChanges": [change]})
        answer = await client.result("textDocument/inlineCompletion", inline_at(uri, 1, 11))
        assert [item["insertText"] for item in answer["items"]] == ["weight"]
        assert "\r" not in engine.asked[-1].text


async def test_typing_along_asks_the_model_once(shop: Path) -> None:
    """What is left of the suggestion is the answer while the user types it."""
    engine = ScriptedEngine("sum(items)")
    async with quiet(engine) as client:
        await started_in(client, shop, NO_DEBOUNCE)
        uri = open_file(client, shop / "shop/cart.py")
        replace_text(client, uri, CART_END)
        first = await client.result("textDocument/inlineCompletion", inline_at(uri, 1, 11, kind=2))
        replace_text(client, uri, CART_END + "sum", version=3)
        second = await client.result("textDocument/inlineCompletion", inline_at(uri, 1, 14, kind=2))
        assert [first["items"][0]["insertText"], second["items"][0]["insertText"]] == ["sum(items)", "(items)"]
        assert len(engine.asked) == 1


async def test_completion_for_a_client_without_inline_completion(shop: Path) -> None:
    """One item that replaces the typed word; the list is incomplete, so that typing asks again."""
    async with quiet(ScriptedEngine("m(items)")) as client:
        await started_in(client, shop, NO_DEBOUNCE)
        uri = open_file(client, shop / "shop/cart.py", CART_END + "su")
        answer = await client.result("textDocument/completion", at(uri, 1, 13))
        assert answer["isIncomplete"] is True
        item = answer["items"][0]
        assert (item["insertText"], item["filterText"], item["preselect"]) == ("sum(items)", "su", False)
        assert "textEdit" not in item


async def test_a_client_with_inline_completion_gets_none_of_it_twice(shop: Path) -> None:
    """While typing there are no items; asked for without having typed, there are."""
    engine = ScriptedEngine("sum(items)")
    async with quiet(engine) as client:
        await started_in(client, shop, NO_DEBOUNCE, textDocument={"inlineCompletion": {}})
        uri = open_file(client, shop / "shop/cart.py", CART_END)
        replace_text(client, uri, CART_END + "s")
        typed = await client.result("textDocument/completion", at(uri, 1, 12))
        assert typed == {"isIncomplete": False, "items": []}
        assert engine.asked == []
        await client.result("textDocument/inlineCompletion", inline_at(uri, 1, 12))
        asked_for = await client.result("textDocument/completion", at(uri, 1, 12))
        assert len(asked_for["items"]) == 1


async def test_nothing_to_complete_in_a_document_that_is_not_open(shop: Path) -> None:
    """The disk is not read behind the editor's back."""
    async with quiet() as client:
        await started_in(client, shop)
        uri = (shop / "shop/cart.py").as_uri()
        assert await client.result("textDocument/inlineCompletion", inline_at(uri, 0, 0)) is None
        assert (await client.result("textDocument/completion", at(uri, 0, 0)))["items"] == []
        assert await client.result("textDocument/codeAction", selection(uri)) is None
        replace_text(client, uri, "x = 1\n")
        client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
        assert await client.result("textDocument/inlineCompletion", inline_at(uri, 0, 0)) is None


async def test_a_secret_that_is_open_in_the_editor_reaches_no_prompt(shop: Path) -> None:
    """Neither by its name nor by what is typed into it."""
    engine = ScriptedEngine("x")
    async with quiet(engine) as client:
        await started_in(client, shop, NO_DEBOUNCE)
        hidden = open_file(client, shop / ".env", "PASSWORD=1")
        assert await client.result("textDocument/inlineCompletion", inline_at(hidden, 0, 0)) is None
        uri = open_file(client, shop / "shop/cart.py", CART_END)
        key = "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEpAIBAAKCAQEA" * 4 + "\n"
        replace_text(client, uri, f'KEY = """{key}"""\n')
        assert await client.result("textDocument/inlineCompletion", inline_at(uri, 0, 0)) is None
        other = open_file(client, shop / "shop/rates.py", "def rate(weight):\n    return ")
        await client.result("textDocument/inlineCompletion", inline_at(other, 1, 11))
        assert engine.asked
        assert not any("PRIVATE KEY" in asked.text or "PASSWORD" in asked.text for asked in engine.asked)


# -- actions -----------------------------------------------------------------------------------------------------------

RATE = between((0, 0), (1, 21))
EXPLANATION = "It forgets the surcharge. `shop/rates.py`: `return weight * 3`"


def selection(uri: str, range_: dict[str, Any] = RATE, **context: Any) -> dict[str, Any]:
    return {"textDocument": {"uri": uri}, "range": range_, "context": {"diagnostics": [], **context}}


async def explain_command(client: Any, uri: str) -> dict[str, Any]:
    action, *_ = await client.result("textDocument/codeAction", selection(uri))
    return {"command": action["command"]["command"], "arguments": action["command"]["arguments"]}


async def test_the_action_is_offered_where_it_makes_sense(shop: Path) -> None:
    """On a selection and in a function that was asked about; not on every line, nor for other kinds."""
    async with quiet() as client:
        await started_in(client, shop)
        uri = open_file(client, shop / "shop/rates.py")
        nowhere = between((1, 5), (1, 5))

        async def titles(*args: Any, **context: Any) -> list[str]:
            actions = await client.result("textDocument/codeAction", selection(uri, *args, **context))
            return [action["title"] for action in actions]

        assert await titles() == ["Explain this bug", "Explain this code"]
        assert await titles(nowhere, triggerKind=1) == ["Explain this bug", "Explain this code"]
        assert await titles(nowhere, triggerKind=2) == []
        assert await titles(only=["quickfix"]) == ["Explain this bug"]
        assert await titles(only=["refactor"]) == []


async def test_resolving_an_action_changes_nothing(shop: Path) -> None:
    """Once or twice, with or without data."""
    async with quiet() as client:
        await started_in(client, shop)
        uri = open_file(client, shop / "shop/rates.py")
        action, *_ = await client.result("textDocument/codeAction", selection(uri))
        once = await client.result("codeAction/resolve", action)
        assert once == action
        assert await client.result("codeAction/resolve", once) == action
        assert await client.result("codeAction/resolve", {"title": "another's"}) == {"title": "another's"}


async def test_an_explanation_streams_to_a_client_that_can(shop: Path) -> None:
    """Pieces with the client's id, then the whole document, and the cost."""
    engine = ScriptedEngine(EXPLANATION, model=scripted_model("chat"))
    async with quiet(engine) as client:
        await started_in(client, shop, experimental={"gemmaLsp": {"stream": True, "cost": True}})
        uri = open_file(client, shop / "shop/rates.py")
        command = await explain_command(client, uri)
        command["arguments"][0]["id"] = "mine"
        result = await client.result("workspace/executeCommand", command)
        told = client.received("gemma-lsp/explain")
        assert {message["id"] for message in told} == {"mine"}
        assert "".join(message.get("delta", "") for message in told) == EXPLANATION
        assert told[-1] == {"id": "mine", "done": True, "markdown": result["markdown"]}
        assert result["citations"] == [{"path": "shop/rates.py", "line": 2, "quoted": "return weight * 3"}]
        cost = await client.notification("gemma-lsp/cost", lambda params: params["kind"] == "explain")
        assert cost["cost"] == result["cost"]
        assert cost["cost"]["generated"] > 0
        assert client.received("window/showDocument") == []


@pytest.mark.parametrize("how", ["says so", "is Helix"])
async def test_an_explanation_opens_as_a_document(shop: Path, how: str) -> None:
    """A read-only file of the user's own, that goes with the session."""
    seen: list[tuple[str, int]] = []
    async with quiet(ScriptedEngine(EXPLANATION, model=scripted_model("chat"))) as client:
        window = {"showDocument": {"support": True}} if how == "says so" else {}
        await started_in(client, shop, name="helix" if how == "is Helix" else "", window=window)
        uri = open_file(client, shop / "shop/rates.py")

        def show(params: Any) -> dict[str, bool]:
            path = Path(params["uri"].removeprefix("file://"))
            seen.append((path.read_text(), path.stat().st_mode & 0o777))
            assert path.parent.stat().st_mode & 0o777 == 0o700
            return {"success": True}

        client.answerers["window/showDocument"] = show
        result = await client.result("workspace/executeCommand", await explain_command(client, uri))
        assert seen == [(result["markdown"], 0o400)]
        shown = client.received("window/showDocument")[0]["uri"]
        await client.result("shutdown")
    assert not Path(shown.removeprefix("file://")).exists()


@pytest.mark.parametrize("refusal", ["cannot", "refuses", "fails"])
async def test_an_explanation_is_a_message_where_nothing_else_goes(shop: Path, refusal: str) -> None:
    """For a client without showDocument, and one whose showDocument fails."""
    async with quiet(ScriptedEngine(EXPLANATION, model=scripted_model("chat"))) as client:
        await started_in(client, shop, name="" if refusal == "cannot" else "helix")

        def refuse(params: Any) -> Any:
            if refusal == "refuses":
                raise Refuse(-32601)
            return {"success": False}

        client.answerers["window/showDocument"] = refuse
        uri = open_file(client, shop / "shop/rates.py")
        await client.result("workspace/executeCommand", await explain_command(client, uri))
        (message,) = client.received("window/showMessage")
        assert message["type"] == 3
        assert "It forgets the surcharge." in message["message"]


async def test_a_command_that_fails_says_so_once_and_answers_null(shop: Path) -> None:
    """Helix hides errors of commands and VS Code shows them twice."""
    async with quiet(ScriptedEngine(EngineError("the context is full; close a folder"))) as client:
        await started_in(client, shop, experimental={"gemmaLsp": {"stream": True}})
        uri = open_file(client, shop / "shop/rates.py")
        assert await client.result("workspace/executeCommand", await explain_command(client, uri)) is None
        assert client.received("window/showMessage") == [
            {"type": 1, "message": "gemma-lsp: the context is full; close a folder"}
        ]
        assert client.received("gemma-lsp/explain")[-1]["error"] == "the context is full; close a folder"


async def test_a_bug_in_a_command_says_so_without_a_traceback(shop: Path) -> None:
    """One sentence to the person; the rest is in the log."""

    def broken(asked: Any) -> str:
        raise ZeroDivisionError("secret detail")

    async with quiet(ScriptedEngine(broken)) as client:
        await started_in(client, shop)
        uri = open_file(client, shop / "shop/rates.py")
        assert await client.result("workspace/executeCommand", await explain_command(client, uri)) is None
        (message,) = client.received("window/showMessage")
        assert "see its log" in message["message"]
        assert "secret detail" not in str(client.messages)


async def test_commands_without_arguments(shop: Path) -> None:
    """Helix runs them from a menu: explain takes the last selection, and says what to do where there was none."""
    engine = ScriptedEngine(EXPLANATION, model=scripted_model("chat"))
    async with quiet(engine) as client:
        await started_in(client, shop)
        assert await client.result("workspace/executeCommand", {"command": "gemma-lsp.explain"}) is None
        assert "select the code" in client.received("window/showMessage")[0]["message"]
        uri = open_file(client, shop / "shop/rates.py")
        await client.result("textDocument/codeAction", selection(uri))
        explained = await client.result("workspace/executeCommand", {"command": "gemma-lsp.explain"})
        assert "It forgets the surcharge." in explained["markdown"]
        assert await client.result("workspace/executeCommand", {"command": "gemma-lsp.ask"}) is None
        status = await client.result("workspace/executeCommand", {"command": "gemma-lsp.status"})
        assert status["model"]["name"] == "scripted chat"
        assert (await client.ask("workspace/executeCommand", {"command": "rm"}))["error"]["code"] == -32602


async def test_a_question_about_the_repository(shop: Path) -> None:
    """Without a document it is asked of the first folder."""
    async with quiet(ScriptedEngine("It charges three a kilo.", model=scripted_model("chat"))) as client:
        await started_in(client, shop)
        command = {"command": "gemma-lsp.ask", "arguments": [{"question": "what does a kilo cost?"}]}
        answer = await client.result("workspace/executeCommand", command)
        assert "It charges three a kilo." in answer["markdown"]


async def test_a_person_can_stop_an_explanation(shop: Path) -> None:
    """By the progress: the command answers null, without an error message."""
    engine = SlowEngine()
    async with quiet(engine) as client:
        await started_in(client, shop, window={"workDoneProgress": True})
        uri = open_file(client, shop / "shop/rates.py")
        command = {**await explain_command(client, uri), "workDoneToken": "mine"}
        id_ = client.begin("workspace/executeCommand", command)
        begin = await client.notification("$/progress", lambda p: p["token"] == "mine")
        assert begin["value"]["kind"] == "begin"
        assert begin["value"]["cancellable"] is True
        await asyncio.wait_for(engine.running.wait(), 20)
        client.notify("window/workDoneProgress/cancel", {"token": "mine"})
        client.notify("window/workDoneProgress/cancel", {"token": "unknown"})
        assert (await client.answer(id_))["result"] is None
        assert client.received("window/showMessage") == []
        kinds = [p["value"]["kind"] for p in client.received("$/progress") if p["token"] == "mine"]
        assert (kinds[0], kinds[-1], kinds.count("end")) == ("begin", "end", 1)


# -- diagnostics -------------------------------------------------------------------------------------------------------

CLAIM = {"quote": "return weight * 3", "what": "the surcharge is missing", "why": "", "severity": "error"}
FINDING = json.dumps({"findings": [{**CLAIM, "confidence": 90}]})
CORRECTED = "weight):\n    return weight * 3 + 1\n```"
PULL = {"diagnostic": {}}


async def test_diagnostics_are_pulled(shop: Path) -> None:
    """A full report once, then unchanged; after an edit the range has moved and the model is not asked again."""
    engine = ScriptedEngine(FINDING, CORRECTED, model=scripted_model("chat"))
    async with quiet(engine) as client:
        result = await started_in(client, shop, textDocument=PULL)
        assert result["capabilities"]["diagnosticProvider"]["workspaceDiagnostics"] is True
        uri = open_file(client, shop / "shop/rates.py")
        params = {"textDocument": {"uri": uri}}
        full = await client.result("textDocument/diagnostic", params)
        assert full["kind"] == "full"
        (found,) = full["items"]
        assert found["range"] == between((1, 4), (1, 21))
        assert (found["message"], found["severity"], found["source"]) == ("the surcharge is missing", 3, "gemma-lsp")
        again = await client.result("textDocument/diagnostic", {**params, "previousResultId": full["resultId"]})
        assert again == {"kind": "unchanged", "resultId": full["resultId"]}
        asked = len(engine.asked)
        replace_text(client, uri, "\n\n" + FILES["shop/rates.py"])
        moved = await client.result("textDocument/diagnostic", {**params, "previousResultId": full["resultId"]})
        assert moved["items"][0]["range"] == between((3, 4), (3, 21))
        assert len(engine.asked) == asked
        assert client.received("textDocument/publishDiagnostics") == []


async def test_diagnostics_are_pushed_where_nobody_pulls(shop: Path) -> None:
    """After opening, with the version; they move with the text and go with the document."""
    async with quiet(ScriptedEngine(FINDING, CORRECTED, model=scripted_model("chat"))) as client:
        result = await started_in(client, shop)
        assert "diagnosticProvider" not in result["capabilities"]
        uri = open_file(client, shop / "shop/rates.py")
        first = await client.notification("textDocument/publishDiagnostics")
        assert (first["uri"], first["version"], len(first["diagnostics"])) == (uri, 1, 1)
        replace_text(client, uri, "\n" + FILES["shop/rates.py"])
        moved = await client.notification("textDocument/publishDiagnostics", lambda p: p.get("version") == 2)
        assert moved["diagnostics"][0]["range"]["start"]["line"] == 2
        client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
        await client.notification("textDocument/publishDiagnostics", lambda p: p["diagnostics"] == [])


async def test_of_several_pulls_the_last_is_answered(shop: Path) -> None:
    """The older one is told not to come again."""

    def by_pass(asked: Asked) -> str:
        """The older one may have asked already, or not."""
        return FINDING if asked.options.sampling.grammar else CORRECTED

    async with quiet(ScriptedEngine(by_pass, model=scripted_model("chat"))) as client:
        await started_in(client, shop, textDocument=PULL)
        uri = open_file(client, shop / "shop/rates.py")
        older = client.begin("textDocument/diagnostic", {"textDocument": {"uri": uri}})
        newer = client.begin("textDocument/diagnostic", {"textDocument": {"uri": uri}})
        assert len((await client.answer(newer))["result"]["items"]) == 1
        error = (await client.answer(older))["error"]
        assert (error["code"], error["data"]) == (-32802, {"retriggerRequest": False})


@pytest.mark.parametrize(("kind", "switch", "asks"), [("base", "auto", 0), ("base", "on", 1), ("chat", "off", 0)])
async def test_who_reviews(shop: Path, kind: str, switch: str, asks: int) -> None:
    """By itself only a model that follows instructions; a setting decides otherwise."""
    engine = ScriptedEngine("none", model=scripted_model(kind))
    async with quiet(engine) as client:
        await started_in(client, shop, {"diagnostics": {"enabled": switch}}, textDocument=PULL)
        uri = open_file(client, shop / "shop/rates.py")
        report = await client.result("textDocument/diagnostic", {"textDocument": {"uri": uri}})
        assert report["items"] == []
        assert len(engine.asked) == asks


# -- settings ----------------------------------------------------------------------------------------------------------


async def test_a_wrong_setting_is_named_once(shop: Path) -> None:
    """And everything else works; the repository may not choose a model."""
    (shop / "pyproject.toml").write_text('[tool.gemma-lsp.model]\npath = "/evil.gguf"\n')
    async with quiet() as client:
        options = {"completion": {"max_tokens": "many"}, "colour": "blue"}
        await started_in(client, shop, options)
        client.notify("workspace/didChangeConfiguration", {"settings": None})
        await client.result("gemma-lsp/status")
        told = [m["message"] for m in client.received("window/showMessage")]
        assert len(told) == len(set(told)) == 3
        for name in ("completion.max_tokens", "colour", "model.path"):
            assert any(message.startswith(f"gemma-lsp: {name}: ") for message in told)


async def test_settings_are_asked_of_the_client(shop: Path) -> None:
    """At the start and when they change; the engine is exchanged only if its own settings differ."""
    made: list[str] = []

    async def make(settings: Settings) -> EngineClient:
        made.append(settings.model.path)
        return ScriptedEngine("items")

    values: list[dict[str, Any]] = [{"model": {"path": "a.gguf"}}]
    async with served(make) as client:
        client.answerers["workspace/configuration"] = lambda params: values
        workspace = {"configuration": True, "didChangeConfiguration": {"dynamicRegistration": True}}
        await started_in(client, shop, workspace=workspace)
        registered = await client.notification("client/registerCapability")
        assert [r["method"] for r in registered["registrations"]] == ["workspace/didChangeConfiguration"]
        assert made == ["a.gguf"]
        values[0] = {"model": {"path": "a.gguf"}, "completion": {"enabled": False}}
        client.notify("workspace/didChangeConfiguration", {"settings": None})
        uri = open_file(client, shop / "shop/cart.py", CART_END)
        async with asyncio.timeout(20):
            while await client.result("textDocument/inlineCompletion", inline_at(uri, 1, 11)) != {"items": []}:
                await asyncio.sleep(0.01)
        values[0] = {"model": {"path": "b.gguf"}}
        client.notify("workspace/didChangeConfiguration", {"settings": None})
        async with asyncio.timeout(20):
            while made != ["a.gguf", "b.gguf"]:
                await asyncio.sleep(0.01)
        await ready(client)


async def test_settings_that_are_pushed_count_where_nobody_can_be_asked(shop: Path) -> None:
    """Under the section's name or without it."""
    async with quiet() as client:
        await started_in(client, shop, textDocument={"inlineCompletion": {}})
        wrong = {"gemma-lsp": {"completion": {"max_tokens": 0}}}
        client.notify("workspace/didChangeConfiguration", {"settings": wrong})
        warning = await client.notification("window/showMessage")
        assert "completion.max_tokens" in warning["message"]


async def test_registrations_follow_the_settings(shop: Path) -> None:
    """Inline completion is registered for a client that wants to be told, and taken back when switched off."""
    async with quiet() as client:
        capabilities = {"inlineCompletion": {"dynamicRegistration": True}}
        result = await started_in(client, shop, textDocument=capabilities)
        assert "inlineCompletionProvider" not in result["capabilities"]
        registered = await client.notification("client/registerCapability")
        assert [r["method"] for r in registered["registrations"]] == ["textDocument/inlineCompletion"]
        client.notify("workspace/didChangeConfiguration", {"settings": {"completion": {"enabled": False}}})
        taken = await client.notification("client/unregisterCapability")
        assert [r["method"] for r in taken["unregisterations"]] == ["textDocument/inlineCompletion"]


async def test_a_client_that_refuses_what_it_offered(shop: Path) -> None:
    """Registration, configuration and progress are refused: the session goes on without."""

    def refuse(params: Any) -> Any:
        raise Refuse(-32603)

    async with quiet() as client:
        for method in ("client/registerCapability", "workspace/configuration", "window/workDoneProgress/create"):
            client.answerers[method] = refuse
        workspace = {"configuration": True, "didChangeWatchedFiles": {"dynamicRegistration": True}}
        await started_in(client, shop, workspace=workspace, window={"workDoneProgress": True})
        assert client.received("$/progress") == []
        assert client.received("window/showMessage") == []


# -- folders, documents and the disk -----------------------------------------------------------------------------------


async def workspaces(client: Any) -> dict[str, int]:
    status = await client.result("gemma-lsp/status")
    return {workspace["name"]: workspace["files"] for workspace in status["workspaces"]}


async def until_workspaces(client: Any, wanted: dict[str, int]) -> None:
    async with asyncio.timeout(20):
        while await workspaces(client) != wanted:
            await asyncio.sleep(0.01)


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


# -- the engine --------------------------------------------------------------------------------------------------------


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

    async def warm(self, workspace: str, prompt: Any, on_progress: Any) -> Any:
        self.warmed += 1
        return await super().warm(workspace, prompt, on_progress)


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
