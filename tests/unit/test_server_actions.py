"""Actions over the wire: words that stream, are stopped and followed up; edits that are resolved and applied."""

from __future__ import annotations

import asyncio
import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.raw_client import RawClient, Refuse
from tests.support.scripted import ScriptedEngine, scripted_model
from tests.support.sessions import FILES, SlowEngine, between, open_file, quiet, replace_text, started_in, write_files

STREAMS = {"gemmaLsp": {"stream": True, "cost": True, "status": True}}
RESOLVES: dict[str, Any] = {
    "codeAction": {"dataSupport": True, "resolveSupport": {"properties": ["edit"]}},
}
ANNOTATES = {
    "workspaceEdit": {
        "documentChanges": True,
        "resourceOperations": ["create", "rename", "delete"],
        "changeAnnotationSupport": {"groupsOnLabel": True},
    }
}
BODY = between((1, 4), (1, 21))
FIXED = "weight):\n    return weight * 4\n```"
CODE = "def rate(weight):\n    return weight * 3\n"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return write_files(tmp_path / "shop", FILES)


def chat(*answers: Any) -> ScriptedEngine:
    return ScriptedEngine(*answers, model=scripted_model("chat"))


def no_thoughts() -> dict[str, Any]:
    return {"explain": {"thinking_tokens": 0}}


async def actions(client: RawClient, uri: str, range_: dict[str, Any] = BODY) -> dict[str, Any]:
    """The actions at a place by title."""
    params = {"textDocument": {"uri": uri}, "range": range_, "context": {"diagnostics": []}}
    return {action["title"]: action for action in await client.result("textDocument/codeAction", params)}


def command(name: str, **arguments: Any) -> dict[str, Any]:
    return {"command": f"gemma-lsp.{name}", "arguments": [arguments]}


def answers(client: RawClient, id_: str) -> list[dict[str, Any]]:
    return [message for message in client.received("gemma-lsp/explain") if message["id"] == id_]


# -- words -------------------------------------------------------------------------------------------------------------


async def test_an_answer_begins_thinks_speaks_and_ends(shop: Path) -> None:
    """Title first, thoughts apart and before the words, one last message with all of it."""
    async with quiet(chat("<|channel>thought\nhm, hm\n<channel|>It forgets the surcharge.")) as client:
        await started_in(client, shop, experimental=STREAMS)
        uri = open_file(client, shop / "shop/rates.py")
        run = command("explain", uri=uri, range=BODY, about="code", id="a1")
        result = await client.result("workspace/executeCommand", run)
        told = answers(client, "a1")
        assert told[0] == {"id": "a1", "title": "Explain this code: shop/rates.py"}
        kinds = ["thinking" if "thinking" in m else "delta" for m in told[1:-1]]
        assert kinds == sorted(kinds, reverse=True)
        assert "".join(m.get("thinking", "") for m in told[1:-1]).strip() == "hm, hm"
        assert "".join(m.get("delta", "") for m in told) == "It forgets the surcharge."
        assert told[-1] == {"id": "a1", "done": True, "markdown": result["markdown"], "thinking": "hm, hm"}


class Endless(ScriptedEngine):
    """Says a few words and then goes on for ever."""

    async def generate(self, workspace: str, prompt: Any, options: Any) -> Any:
        async for event in super().generate(workspace, prompt, options):
            if hasattr(event, "reason"):
                break
            yield event
        await asyncio.Event().wait()


async def test_a_stopped_answer_is_kept(shop: Path) -> None:
    """What there is stays, with a line that says so; there is nothing to stop a second time."""
    engine = Endless("It forgets the surcharge", model=scripted_model("chat"))
    async with quiet(engine) as client:
        await started_in(client, shop, experimental=STREAMS)
        uri = open_file(client, shop / "shop/rates.py")
        id_ = client.begin("workspace/executeCommand", command("explain", uri=uri, range=BODY, id="a1"))
        await client.until(lambda: "".join(m.get("delta", "") for m in answers(client, "a1")).endswith("surcharge"))
        busy = await client.ask("workspace/executeCommand", command("explain", uri=uri, range=BODY, id="a1"))
        assert busy["error"]["code"] == -32602
        assert await client.result("workspace/executeCommand", command("stop", id="a1")) is True
        result = (await client.answer(id_))["result"]
        assert result["cancelled"] is True
        assert "It forgets the surcharge\n\n*Stopped before the end.*" in result["markdown"]
        last = {"id": "a1", "done": True, "cancelled": True, "markdown": result["markdown"]}
        assert answers(client, "a1")[-1] == last
        assert await client.result("workspace/executeCommand", command("stop", id="a1")) is False


async def test_whoever_heard_something_keeps_it(shop: Path) -> None:
    """A base model's answer begins with words of ours: they come with its own first one, never before."""
    engine = Endless(" it", model=scripted_model("base"))
    async with quiet(engine) as client:
        await started_in(client, shop, experimental=STREAMS)
        uri = open_file(client, shop / "shop/rates.py")
        id_ = client.begin("workspace/executeCommand", command("explain", uri=uri, range=BODY, id="a1"))
        await client.until(lambda: any("delta" in message for message in answers(client, "a1")))
        assert await client.result("workspace/executeCommand", command("stop", id="a1")) is True
        result = (await client.answer(id_))["result"]
        said = "".join(message.get("delta", "") for message in answers(client, "a1"))
        assert said == "The function `rate` fails when it"
        assert said in result["markdown"]
        assert answers(client, "a1")[-1]["markdown"] == result["markdown"]


async def test_a_model_that_says_nothing_is_not_given_our_words(shop: Path) -> None:
    """Blank space is nothing, too."""
    async with quiet(ScriptedEngine(" \n ", model=scripted_model("base"))) as client:
        await started_in(client, shop, experimental=STREAMS)
        uri = open_file(client, shop / "shop/rates.py")
        result = await client.result("workspace/executeCommand", command("explain", uri=uri, range=BODY, id="a1"))
        assert "*The model said nothing.*" in result["markdown"]
        assert not any("delta" in message for message in answers(client, "a1"))


async def test_an_answer_stopped_before_the_first_word_is_none(shop: Path) -> None:
    """The command answers null, and nobody is told of an error."""
    engine = SlowEngine()
    async with quiet(engine) as client:
        await started_in(client, shop, experimental=STREAMS)
        uri = open_file(client, shop / "shop/rates.py")
        id_ = client.begin("workspace/executeCommand", command("explain", uri=uri, range=BODY, id="a1"))
        await asyncio.wait_for(engine.running.wait(), 20)
        await client.result("workspace/executeCommand", command("stop", id="a1"))
        assert (await client.answer(id_))["result"] is None
        assert answers(client, "a1")[-1] == {"id": "a1", "done": True, "cancelled": True}
        assert client.received("window/showMessage") == []


async def test_a_follow_up_is_asked_with_what_was_said(shop: Path) -> None:
    """Question and answer come again; an answer that nobody remembers is an error."""
    engine = chat("Because of history.", "Since 1999.")
    async with quiet(engine) as client:
        await started_in(client, shop, experimental=STREAMS)
        ask = command("ask", question="Why three?", id="q1")
        await client.result("workspace/executeCommand", ask)
        await client.result("workspace/executeCommand", command("ask", question="Since when?", id="q2", follows="q1"))
        prompt = engine.asked[-1].text
        assert "I asked before: Why three?\nThe answer was:\nBecause of history." in prompt
        assert prompt.index("Because of history.") < prompt.index("Since when?")
        forgotten = await client.ask("workspace/executeCommand", command("ask", question="?", follows="q9"))
        assert forgotten["error"]["code"] == -32602


async def test_a_question_about_a_selection(shop: Path) -> None:
    """The selected lines stand in the prompt with their numbers."""
    engine = chat("Nothing.")
    async with quiet(engine) as client:
        await started_in(client, shop)
        uri = open_file(client, shop / "shop/rates.py")
        await client.result("workspace/executeCommand", command("ask", question="What is it?", uri=uri, range=BODY))
        assert "In shop/rates.py, line 2:\n\n```python\n2 |     return weight * 3\n" in engine.asked[-1].text


async def test_a_traceback_says_where(shop: Path) -> None:
    """Without a place, the innermost line in the workspace is meant; the traceback is quoted."""
    engine = chat("It is a string.")
    traceback = (
        f'Traceback:\n  File "{shop}/shop/rates.py", line 2, in rate\n  File "/usr/x.py", line 3\nTypeError: no\n'
    )
    async with quiet(engine) as client:
        await started_in(client, shop)
        result = await client.result("workspace/executeCommand", command("explain", traceback=traceback))
        assert result["markdown"].startswith("# Explain this bug: `rate`")
        assert "Running it ended like this:" in engine.asked[-1].text
        assert "TypeError: no" in engine.asked[-1].text
        elsewhere = command("explain", traceback='File "/usr/x.py", line 3')
        assert await client.result("workspace/executeCommand", elsewhere) is None


async def test_status_comes_unasked(shop: Path) -> None:
    """To clients that want it, whenever something has changed, and never twice the same."""
    async with quiet(chat("x")) as client:
        await started_in(client, shop, experimental=STREAMS)
        await client.notification("gemma-lsp/status", lambda s: [w["state"] for w in s["workspaces"]] == ["ready"])
        told = client.received("gemma-lsp/status")
        assert all(before != after for before, after in itertools.pairwise(told))
        assert told[-1] == await client.result("gemma-lsp/status")
    async with quiet(chat("x")) as client:
        await started_in(client, shop)
        assert client.received("gemma-lsp/status") == []


# -- edits -------------------------------------------------------------------------------------------------------------


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


# -- findings ----------------------------------------------------------------------------------------------------------

CLAIM = {"quote": "return weight * 3", "what": "the surcharge is missing", "why": "", "severity": "error"}
FINDING = json.dumps({"findings": [{**CLAIM, "confidence": 90}]})
NOTHING = json.dumps({"findings": []})
PULL: dict[str, Any] = {
    "diagnostic": {"relatedInformation": True, "codeDescriptionSupport": True},
    "publishDiagnostics": {"relatedInformation": True, "codeDescriptionSupport": True},
}


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test writes into the state directory of whoever runs it."""
    monkeypatch.setattr("gemma_lsp.server.dismissals.platformdirs.user_state_dir", lambda *a, **k: tmp_path / "state")
    monkeypatch.setattr("gemma_lsp.server.reviews.QUIET_S", 3600.0)
    monkeypatch.setattr("gemma_lsp.server.reviews.on_battery", lambda: False)


@pytest.fixture
def reviews(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reviews begin at once."""
    monkeypatch.setattr("gemma_lsp.server.reviews.QUIET_S", 0.0)


async def pulled(client: RawClient, uri: str) -> list[dict[str, Any]]:
    report = await client.result("textDocument/diagnostic", {"textDocument": {"uri": uri}})
    return list(report["items"])


async def at_finding(client: RawClient, uri: str, found: dict[str, Any]) -> dict[str, Any]:
    context = {"diagnostics": [found], "only": ["quickfix"]}
    params = {"textDocument": {"uri": uri}, "range": found["range"], "context": context}
    return {action["title"]: action for action in await client.result("textDocument/codeAction", params)}


@pytest.mark.usefixtures("reviews")
async def test_a_finding_comes_with_its_fix(shop: Path) -> None:
    """A link to what it means, who calls the definition, and the edit that confirmed it."""
    engine = chat(FINDING, FIXED)
    async with quiet(engine) as client:
        await started_in(client, shop, textDocument={**RESOLVES, **PULL}, workspace=ANNOTATES)
        uri = open_file(client, shop / "shop/rates.py")
        (found,) = await pulled(client, uri)
        assert found["codeDescription"]["href"].endswith("docs/diagnostics.md#possible-bug")
        (related,) = found["relatedInformation"]
        assert related["location"] == {"uri": (shop / "shop/cart.py").as_uri(), "range": between((4, 15), (4, 19))}
        titles = await at_finding(client, uri, found)
        fix = titles["Fix: the surcharge is missing"]
        assert fix["edit"]["documentChanges"][0]["edits"][0]["newText"] == "    return weight * 4\n"
        assert await client.result("codeAction/resolve", fix) == fix
        assert len(engine.asked) == 2


@pytest.mark.usefixtures("reviews")
async def test_a_dismissed_finding_stays_away(shop: Path, tmp_path: Path) -> None:
    """In this session and in the next one; the file is the user's alone."""
    async with quiet(chat(FINDING, FIXED)) as client:
        await started_in(client, shop, textDocument=PULL, workspace={"diagnostics": {"refreshSupport": True}})
        uri = open_file(client, shop / "shop/rates.py")
        (found,) = await pulled(client, uri)
        dismiss = (await at_finding(client, uri, found))["Do not show this finding again"]["command"]
        assert dismiss["arguments"] == [{"uri": uri, "digest": found["data"]["digest"]}]
        await client.result("workspace/executeCommand", dismiss)
        await client.notification("workspace/diagnostic/refresh")
        assert await pulled(client, uri) == []
        wrong = await client.ask("workspace/executeCommand", command("dismiss", uri=uri, digest="x"))
        assert wrong["error"]["code"] == -32602
    written = tmp_path / "state/dismissed"
    assert written.read_text() == f"{found['data']['digest']}\n"
    assert written.stat().st_mode & 0o777 == 0o600
    engine = chat(FINDING, FIXED)
    async with quiet(engine) as client:
        await started_in(client, shop, textDocument=PULL)
        assert await pulled(client, open_file(client, shop / "shop/rates.py")) == []
        assert len(engine.asked) == 1


@pytest.mark.usefixtures("reviews")
async def test_a_damaged_state_file_is_an_empty_one(shop: Path, tmp_path: Path) -> None:
    """And a state directory that cannot be written to holds nothing back."""
    (tmp_path / "state").write_bytes(b"\xff\x00 not a folder")
    async with quiet(chat(FINDING, FIXED)) as client:
        await started_in(client, shop, textDocument=PULL)
        uri = open_file(client, shop / "shop/rates.py")
        (found,) = await pulled(client, uri)
        await client.result("workspace/executeCommand", command("dismiss", uri=uri, digest=found["data"]["digest"]))
        assert await pulled(client, uri) == []


@pytest.mark.parametrize(("setting", "asked"), [(False, 0), (True, 2)])
@pytest.mark.usefixtures("reviews")
async def test_on_its_battery_the_machine_is_left_alone(
    shop: Path, monkeypatch: pytest.MonkeyPatch, setting: bool, asked: int
) -> None:
    """Unless the user wants otherwise."""
    monkeypatch.setattr("gemma_lsp.server.reviews.on_battery", lambda: True)
    engine = chat(FINDING, FIXED)
    async with quiet(engine) as client:
        await started_in(client, shop, {"diagnostics": {"on_battery": setting}}, textDocument=PULL)
        await pulled(client, open_file(client, shop / "shop/rates.py"))
        assert len(engine.asked) == asked


# -- hover -------------------------------------------------------------------------------------------------------------


async def test_hover_is_off_until_it_is_wanted(shop: Path) -> None:
    """Then a paragraph about the symbol, with its word's range; registered where the client offers that."""
    engine = chat("It gives the price.")
    async with quiet(engine) as client:
        dynamic = {"hover": {"dynamicRegistration": True}}
        result = await started_in(client, shop, textDocument=dynamic)
        assert "hoverProvider" not in result["capabilities"]
        uri = open_file(client, shop / "shop/cart.py")
        place = {"textDocument": {"uri": uri}, "position": {"line": 4, "character": 16}}
        assert await client.result("textDocument/hover", place) is None
        client.notify("workspace/didChangeConfiguration", {"settings": {"hover": {"enabled": True}}})
        registered = await client.notification("client/registerCapability")
        assert [r["method"] for r in registered["registrations"]] == ["textDocument/hover"]
        told = await client.result("textDocument/hover", place)
        assert told["contents"]["value"].startswith("It gives the price.")
        assert told["range"] == between((4, 15), (4, 19))
        assert await client.result("textDocument/hover", place) == told
        assert len(engine.asked) == 1
