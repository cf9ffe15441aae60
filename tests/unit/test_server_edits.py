"""Edits over the wire: resolved, annotated, applied, refused."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.support.acting import (
    ANNOTATES,
    BODY,
    CODE,
    FIXED,
    RESOLVES,
    STREAMS,
    actions,
    answers,
    chat,
    command,
    no_thoughts,
)
from tests.support.raw_client import Refuse
from tests.support.scripted import ScriptedEngine, scripted_model
from tests.support.sessions import SlowEngine, between, open_file, quiet, replace_text, started_in, write_files

pytestmark = pytest.mark.usefixtures("calm")


async def test_a_fix_is_made_when_it_is_chosen(shop: Path) -> None:
    """Listing asks no model; resolving gives a versioned edit that wants to be confirmed; twice asks once."""
    engine = chat(FIXED)
    async with quiet(engine) as client:
        await started_in(client, shop, no_thoughts(), textDocument=RESOLVES, workspace=ANNOTATES, experimental=STREAMS)
        uri = open_file(client, shop / "shop/rates.py")
        action = (await actions(client, uri))["Fix this bug"]
        assert "edit" not in action
        assert "command" not in action
        assert engine.asked == []
        resolved = await client.result("codeAction/resolve", action)
        (change,) = resolved["edit"]["documentChanges"]
        assert change["textDocument"] == {"uri": uri, "version": 1}
        (edit,) = change["edits"]
        assert edit["range"] == between((1, 0), (2, 0))
        assert edit["newText"] == "    return weight * 4\n"
        annotation = resolved["edit"]["changeAnnotations"][edit["annotationId"]]
        assert annotation["needsConfirmation"] is True
        assert await client.result("codeAction/resolve", action) == resolved
        assert await client.result("codeAction/resolve", resolved) == resolved
        assert len(engine.asked) == 1
        costs = [cost["kind"] for cost in client.received("gemma-lsp/cost")]
        assert costs.count("edit") == 1
        assert (shop / "shop/rates.py").read_text() == CODE


async def test_two_that_resolve_at_once_ask_once(shop: Path) -> None:
    """Some clients resolve an action several times."""
    engine = chat(FIXED)
    async with quiet(engine) as client:
        await started_in(client, shop, no_thoughts(), textDocument=RESOLVES, workspace=ANNOTATES)
        uri = open_file(client, shop / "shop/rates.py")
        action = (await actions(client, uri))["Fix this bug"]
        ids = [client.begin("codeAction/resolve", action) for _ in range(3)]
        got = [(await client.answer(id_))["result"]["edit"] for id_ in ids]
        assert got[0] == got[1] == got[2]
        assert len(engine.asked) == 1


async def test_windows_line_ends_stay(shop: Path) -> None:
    """What is put in ends its lines as the file does; without annotations the edit is plain."""
    async with quiet(chat(FIXED)) as client:
        plain = {"workspaceEdit": {"documentChanges": True}}
        await started_in(client, shop, no_thoughts(), textDocument=RESOLVES, workspace=plain)
        uri = open_file(client, shop / "shop/rates.py", CODE.replace("\n", "\r\n"))
        resolved = await client.result("codeAction/resolve", (await actions(client, uri))["Fix this bug"])
        (edit,) = resolved["edit"]["documentChanges"][0]["edits"]
        assert edit == {"range": between((1, 0), (2, 0)), "newText": "    return weight * 4\r\n"}
        assert "changeAnnotations" not in resolved["edit"]


async def test_a_client_without_document_changes_gets_plain_changes(shop: Path) -> None:
    """By the document's URI."""
    async with quiet(chat(FIXED)) as client:
        await started_in(client, shop, no_thoughts(), textDocument=RESOLVES)
        uri = open_file(client, shop / "shop/rates.py")
        resolved = await client.result("codeAction/resolve", (await actions(client, uri))["Fix this bug"])
        assert list(resolved["edit"]) == ["changes"]
        assert list(resolved["edit"]["changes"]) == [uri]


async def test_a_file_that_moved_on_gets_no_edit(shop: Path) -> None:
    """Neither changed before resolving nor meanwhile; the person is told, and the action comes as it was."""

    class EditedMeanwhile(ScriptedEngine):
        async def generate(self, workspace: str, prompt: Any, options: Any) -> Any:
            replace_text(client, uri, "# new\n" + CODE, version=3)
            await client.result("gemma-lsp/status")  # answered after the change was taken
            async for event in super().generate(workspace, prompt, options):
                yield event

    async with quiet(EditedMeanwhile(FIXED, model=scripted_model("chat"))) as client:
        await started_in(client, shop, no_thoughts(), textDocument=RESOLVES, workspace=ANNOTATES)
        uri = open_file(client, shop / "shop/rates.py")
        old = (await actions(client, uri))["Fix this bug"]
        replace_text(client, uri, CODE + "\n", version=2)
        assert await client.result("codeAction/resolve", old) == old
        new = (await actions(client, uri))["Fix this bug"]
        assert await client.result("codeAction/resolve", new) == new
        told = [message["message"] for message in client.received("window/showMessage")]
        assert told == ["gemma-lsp: the file has changed since; choose the action again"] * 2


async def test_a_model_that_has_no_edit_says_why(shop: Path) -> None:
    """Once, and the action comes back without one."""
    async with quiet(chat("weight):\n    return weight * 3\n```")) as client:
        await started_in(client, shop, no_thoughts(), textDocument=RESOLVES, workspace=ANNOTATES)
        uri = open_file(client, shop / "shop/rates.py")
        action = (await actions(client, uri))["Fix this bug"]
        assert await client.result("codeAction/resolve", action) == action
        (message,) = client.received("window/showMessage")
        assert message["type"] == 2
        assert "it is the code as it stands" in message["message"]


async def test_a_test_comes_as_a_new_file(shop: Path) -> None:
    """Created, never overwritten; what is on disk but not in the index is in the way."""
    code = "):\n    assert rate(2) == 6\n```"
    async with quiet(chat(code)) as client:
        window = {"showDocument": {"support": True}}
        await started_in(client, shop, no_thoughts(), textDocument=RESOLVES, workspace=ANNOTATES, window=window)
        uri = open_file(client, shop / "shop/rates.py")
        action = (await actions(client, uri))["Write a test for this function"]
        resolved = await client.result("codeAction/resolve", action)
        create, change = resolved["edit"]["documentChanges"]
        path = shop / "tests/test_rates.py"
        show = action["command"]
        assert show["arguments"] == [{"uri": path.as_uri()}]
        assert await client.result("workspace/executeCommand", show) is False
        assert (create["kind"], create["uri"]) == ("create", path.as_uri())
        assert create["options"] == {"overwrite": False, "ignoreIfExists": False}
        assert change["textDocument"] == {"uri": path.as_uri(), "version": None}
        assert change["edits"][0]["newText"].startswith("from shop.rates import rate\n\n\ndef test_rate():\n")
        write_files(shop, {"tests/test_rates.py": "x = '" + "y" * 300_000 + "'\n"})
        assert await client.result("workspace/executeCommand", show) is True
        assert client.received("window/showDocument")[0]["uri"] == path.as_uri()
        outside = command("show", uri="file:///etc/hosts")
        assert await client.result("workspace/executeCommand", outside) is False
        assert await client.result("codeAction/resolve", action) == action


async def test_resolving_what_is_not_ours_changes_nothing(shop: Path) -> None:
    """Whatever a client puts into `data`."""
    async with quiet() as client:
        await started_in(client, shop, textDocument=RESOLVES)
        for data in (None, 5, "x", {"action": "rm"}, {"action": "explain-bug"}):
            action = {"title": "another's", **({} if data is None else {"data": data})}
            assert await client.result("codeAction/resolve", action) == action
        wrong = {"title": "x", "data": {"action": "fix-bug", "uri": "file:///nowhere.py", "range": {}}}
        assert (await client.ask("codeAction/resolve", wrong))["error"]["code"] == -32602


async def test_resolving_can_be_cancelled(shop: Path) -> None:
    """By the request or by its progress; the engine is free again."""
    engine = SlowEngine()
    async with quiet(engine) as client:
        window = {"workDoneProgress": True}
        await started_in(client, shop, textDocument=RESOLVES, workspace=ANNOTATES, window=window)
        uri = open_file(client, shop / "shop/rates.py")
        action = (await actions(client, uri))["Fix this bug"]
        id_ = client.begin("codeAction/resolve", action)
        await asyncio.wait_for(engine.running.wait(), 20)
        client.notify("$/cancelRequest", {"id": id_})
        assert (await client.answer(id_))["error"]["code"] == -32800
        engine.running.clear()
        id_ = client.begin("codeAction/resolve", action)
        await asyncio.wait_for(engine.running.wait(), 20)
        client.notify("window/workDoneProgress/cancel", {"token": "gemma-lsp: Fix this bug (2)"})
        assert (await client.answer(id_))["result"] == action
        assert engine.cancelled == 2
        assert client.received("window/showMessage") == []


@pytest.mark.parametrize("answer", ["Apply", "Discard", "nothing", "cannot ask"])
async def test_a_client_that_does_not_resolve_runs_a_command(shop: Path, answer: str) -> None:
    """The diff is shown, the person asked, and then the edit sent."""
    applied: list[Any] = []

    def ask(params: Any) -> Any:
        assert [item["title"] for item in params["actions"]] == ["Apply", "Discard"]
        if answer == "cannot ask":
            raise Refuse(-32601)
        return None if answer == "nothing" else {"title": answer}

    def apply(params: Any) -> Any:
        applied.append(params)
        return {"applied": True}

    async with quiet(chat(FIXED)) as client:
        client.answerers["window/showMessageRequest"] = ask
        client.answerers["workspace/applyEdit"] = apply
        workspace = {"applyEdit": True, "workspaceEdit": {"documentChanges": True}}
        await started_in(client, shop, no_thoughts(), workspace=workspace, experimental=STREAMS)
        uri = open_file(client, shop / "shop/rates.py")
        action = (await actions(client, uri))["Fix this bug"]
        assert action["command"]["command"] == "gemma-lsp.fix"
        action["command"]["arguments"][0]["id"] = "e1"
        result = await client.result("workspace/executeCommand", action["command"])
        assert result["applied"] is (answer in ("Apply", "cannot ask"))
        assert "-    return weight * 3\n+    return weight * 4\n" in result["markdown"]
        assert [list(m) for m in answers(client, "e1")] == [["id", "title"], ["id", "done", "markdown"]]
        assert len(applied) == result["applied"]
        for params in applied:
            assert params["edit"]["documentChanges"][0]["textDocument"] == {"uri": uri, "version": 1}


async def test_a_client_that_confirms_is_not_asked_twice(shop: Path) -> None:
    """And what it refuses is said."""
    async with quiet(chat(FIXED)) as client:
        client.answerers["workspace/applyEdit"] = lambda params: {"applied": False, "failureReason": "read only"}
        await started_in(client, shop, no_thoughts(), workspace={"applyEdit": True, **ANNOTATES})
        uri = open_file(client, shop / "shop/rates.py")
        result = await client.result("workspace/executeCommand", command("fix", uri=uri, range=BODY))
        assert result["applied"] is False
        assert client.received("window/showMessageRequest") == []
        last = client.received("window/showMessage")[-1]
        assert last["message"] == "gemma-lsp: the editor did not apply the edit: read only"


async def test_a_command_that_finds_no_edit_answers_null(shop: Path) -> None:
    """The reason is told once, in the panel and as a message."""
    async with quiet(chat("no code at all")) as client:
        await started_in(client, shop, no_thoughts(), workspace={"applyEdit": True}, experimental=STREAMS)
        uri = open_file(client, shop / "shop/rates.py")
        run = command("fix", uri=uri, range=BODY, id="e1")
        assert await client.result("workspace/executeCommand", run) is None
        last = answers(client, "e1")[-1]
        assert last["done"] is True
        assert client.received("window/showMessage") == [{"type": 2, "message": f"gemma-lsp: {last['error']}"}]


async def test_listing_asks_no_model(shop: Path) -> None:
    """Whatever the range; and edits are offered only to clients that can take them."""
    engine = chat(FIXED)
    async with quiet(engine) as client:
        await started_in(client, shop)
        uri = open_file(client, shop / "shop/rates.py")
        assert set(await actions(client, uri)) == {"Explain this bug", "Explain this code"}
        assert engine.asked == []
