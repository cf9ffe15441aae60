"""Explanations over the wire: where they are shown, how they fail and how they are stopped."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gemma_lsp.base.errors import EngineError
from tests.support.raw_client import Refuse
from tests.support.scripted import ScriptedEngine, scripted_model
from tests.support.sessions import (
    SlowEngine,
    between,
    open_file,
    quiet,
    selection,
    started_in,
)

pytestmark = pytest.mark.usefixtures("reviews")


EXPLANATION = "It forgets the surcharge. `shop/rates.py`: `return weight * 3`"


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
