"""Every message that the server sends, in sessions that use all of it, is one of the official meta model."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.protocol.traffic import Traffic, recorded_complaints
from tests.support.raw_client import RawClient
from tests.support.scripted import Asked, ScriptedEngine, scripted_model
from tests.support.sessions import (
    FILES,
    at,
    between,
    inline_at,
    open_file,
    quiet,
    replace_text,
    started_in,
    write_files,
)

TEE = Path(__file__).parents[1] / "support" / "tee.py"
CLAIM = {"quote": "return weight * 3", "what": "the surcharge is missing", "why": "", "severity": "error"}
FINDING = json.dumps({"findings": [{**CLAIM, "confidence": 90}]})
FIXED = "weight):\n    return weight * 4\n```"
EXPLANATION = "It forgets the surcharge. `shop/rates.py`: `return weight * 3`"
OPTIONS = {"completion": {"debounce_ms": 0}}
EVERYTHING: dict[str, Any] = {
    "general": {"positionEncodings": ["utf-32", "utf-16"]},
    "textDocument": {
        "inlineCompletion": {"dynamicRegistration": True},
        "diagnostic": {"relatedDocumentSupport": True, "relatedInformation": True, "codeDescriptionSupport": True},
        "codeAction": {"dataSupport": True, "resolveSupport": {"properties": ["edit"]}},
    },
    "window": {"workDoneProgress": True, "showDocument": {"support": True}},
    "workspace": {
        "configuration": True,
        "didChangeConfiguration": {"dynamicRegistration": True},
        "didChangeWatchedFiles": {"dynamicRegistration": True},
        "diagnostics": {"refreshSupport": True},
        "workspaceEdit": {
            "documentChanges": True,
            "resourceOperations": ["create"],
            "changeAnnotationSupport": {"groupsOnLabel": True},
        },
    },
}
ANSWERED = {
    "codeAction/resolve",
    "initialize",
    "shutdown",
    "textDocument/codeAction",
    "textDocument/completion",
    "textDocument/diagnostic",
    "textDocument/hover",
    "textDocument/inlineCompletion",
    "workspace/executeCommand",
}
TO_A_GREAT_CLIENT = {
    "$/progress",
    "client/registerCapability",
    "client/unregisterCapability",
    "window/showDocument",
    "window/showMessage",
    "window/workDoneProgress/create",
    "workspace/configuration",
    "workspace/diagnostic/refresh",
}
TO_A_SMALL_CLIENT = {
    "$/progress",  # of the one command that came with a token
    "gemma-lsp/cost",
    "gemma-lsp/explain",
    "textDocument/publishDiagnostics",
    "window/showMessage",
}


@pytest.fixture(autouse=True)
def _reviews_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gemma_lsp.server.reviews.QUIET_S", 0.0)


@pytest.fixture
def traffic(monkeypatch: pytest.MonkeyPatch) -> Traffic:
    return Traffic(monkeypatch)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return write_files(tmp_path / "shop", FILES)


def scripted(asked: Asked) -> str:
    """A completion, an explanation, a review or code, as the request tells them apart."""
    if asked.options.sampling.grammar:
        return FINDING
    if "Answer with one block" in asked.text:
        return FIXED if asked.text.endswith("def rate(") else f"```python\ndef rate({FIXED}"
    return EXPLANATION if "explain" in asked.text.lower() else "weight * 3"


async def test_a_client_that_can_do_everything(traffic: Traffic, shop: Path) -> None:
    """It is asked and told in every way there is, but for what clients get that can do less."""
    async with quiet(ScriptedEngine(scripted, model=scripted_model("chat"))) as client:
        await started_in(client, shop, OPTIONS, **EVERYTHING)
        uri = open_file(client, shop / "shop/rates.py")
        await ask_everything(client, uri)
        settings = [{"completion": {"enabled": False}, "diagnostics": {"severity": "hint"}, "no": {"such": 1}}]
        client.answerers["workspace/configuration"] = lambda params: settings
        client.notify("workspace/didChangeConfiguration", {"settings": None})
        await client.notification("client/unregisterCapability")
        await client.notification("workspace/diagnostic/refresh")
        await client.notification("window/showMessage")
        await client.result("shutdown")
    assert traffic.complaints == []
    assert traffic.answered == ANSWERED
    assert traffic.sent == TO_A_GREAT_CLIENT


async def test_a_client_that_can_do_little(traffic: Traffic, shop: Path) -> None:
    """Diagnostics are pushed, and explanations come as our own messages and as a message to show."""
    async with quiet(ScriptedEngine(scripted, model=scripted_model("chat"))) as client:
        ours = {"gemmaLsp": {"stream": True, "cost": True}}
        await started_in(client, shop, OPTIONS, experimental=ours)
        uri = open_file(client, shop / "shop/rates.py")
        await client.notification("textDocument/publishDiagnostics")
        await ask_everything(client, uri)
        await client.result("workspace/executeCommand", {"command": "gemma-lsp.status"})
        client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
        await client.notification("textDocument/publishDiagnostics", lambda params: params["diagnostics"] == [])
        await client.result("shutdown")
    assert traffic.complaints == []
    assert traffic.answered == ANSWERED
    assert traffic.sent == TO_A_SMALL_CLIENT


async def ask_everything(client: RawClient, uri: str) -> None:
    """Every request that the server serves, with progress where one can have it; each has something to answer."""
    selected = {"textDocument": {"uri": uri}, "range": between((0, 0), (1, 21)), "context": {"diagnostics": []}}
    actions = {action["title"]: action for action in await client.result("textDocument/codeAction", selected)}
    for offered in actions.values():
        await client.result("codeAction/resolve", offered)
    action = actions["Explain this bug"]
    command = {name: action["command"][name] for name in ("command", "arguments")}
    explained = await client.result("workspace/executeCommand", command)
    assert explained["citations"]
    await client.result("workspace/executeCommand", {**command, "workDoneToken": "mine"})
    report = await client.result("textDocument/diagnostic", {"textDocument": {"uri": uri}})
    assert len(report["items"]) == 1
    unchanged = {"textDocument": {"uri": uri}, "previousResultId": report["resultId"]}
    assert (await client.result("textDocument/diagnostic", unchanged))["kind"] == "unchanged"
    first = client.begin("textDocument/diagnostic", {"textDocument": {"uri": uri}})
    await client.result("textDocument/diagnostic", {"textDocument": {"uri": uri}})
    assert (await client.answer(first))["error"]["data"] == {"retriggerRequest": False}
    replace_text(client, uri, "def rate(weight):\n    return ")
    assert (await client.result("textDocument/inlineCompletion", inline_at(uri, 1, 11)))["items"]
    assert (await client.result("textDocument/completion", at(uri, 1, 11)))["items"]
    assert await client.result("textDocument/hover", at(uri, 1, 11)) is None
    assert (await client.ask("textDocument/definition", at(uri, 1, 11)))["error"]["code"] == -32601
    assert (await client.ask("textDocument/completion", {}))["error"]["code"] == -32602


# -- the recorder itself -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        ({"jsonrpc": "2.0", "method": "window/showMessage", "params": {"type": 9, "message": ""}}, "params.type"),
        ({"jsonrpc": "2.0", "method": "no/such", "params": {}}, "no/such is not in the meta model"),
        ({"jsonrpc": "2.0", "method": "initialized", "params": {}}, "initialized is not for a server to send"),
        ({"jsonrpc": "2.0", "method": "$/progress", "params": {"token": 1, "value": {}}}, "value: no progress"),
        (
            {"jsonrpc": "2.0", "method": "$/progress", "params": {"token": 1, "value": {"kind": "begin"}}},
            "value.title: missing",
        ),
        ({"jsonrpc": "2.0", "id": None, "error": {"code": 1.5, "message": ""}}, "error.code"),
    ],
)
async def test_a_wrong_message_is_noticed(traffic: Traffic, message: dict[str, Any], complaint: str) -> None:
    """Whatever a server sends, the recorder sees it."""
    async with quiet() as client:
        client._take(message)
    (found,) = traffic.complaints
    assert found.startswith(complaint)


async def test_a_wrong_registration_is_noticed(traffic: Traffic) -> None:
    """By its options, and by a method that nobody registers."""
    async with quiet() as client:
        for method, options in (("workspace/didChangeWatchedFiles", {}), ("no/such", None)):
            registration = {"id": "a", "method": method, "registerOptions": options}
            params = {"registrations": [registration]}
            client._take({"jsonrpc": "2.0", "id": 1, "method": "client/registerCapability", "params": params})
    assert [found.split(":")[0] for found in traffic.complaints] == [
        "registerOptions.watchers",
        "no/such cannot be registered",
    ]


RECORDED = [
    ({"id": 1, "result": None}, []),
    ({"id": 1, "result": 5}, ["result"]),
    ({"id": 1, "error": {"code": "no", "message": ""}}, ["error.code"]),
    ({"method": "window/logMessage", "params": {"type": 3, "message": "hello"}}, ["never answered"]),
    ({"id": 9, "result": None}, ["never answered"]),
]


@pytest.mark.parametrize(("answer", "complaints"), RECORDED)
def test_what_was_recorded_is_checked(tmp_path: Path, answer: dict[str, Any], complaints: list[str]) -> None:
    """One request and the end of a session; what the server said to it is complained about by its place."""
    said = [{"id": 1, "method": "shutdown"}, {"method": "exit"}]
    write_record(tmp_path / "1.client", said)
    write_record(tmp_path / "1.server", [answer])
    assert [found.split(":")[0] for found in recorded_complaints(tmp_path)] == complaints
    assert list(tmp_path.iterdir()) == []


def test_an_answer_given_twice_is_noticed(tmp_path: Path) -> None:
    """And a message that was cut off with the session is not."""
    write_record(tmp_path / "1.client", [{"id": 1, "method": "shutdown"}])
    write_record(tmp_path / "1.server", [{"id": 1, "result": None}] * 2)
    with open(tmp_path / "1.server", "ab") as record:
        record.write(b"Content-Length: 100\r\n\r\n{")
    (found,) = recorded_complaints(tmp_path)
    assert found.startswith("answered twice")


def write_record(path: Path, messages: list[dict[str, Any]]) -> None:
    bodies = [json.dumps({"jsonrpc": "2.0", **message}).encode() for message in messages]
    path.write_bytes(b"".join(b"Content-Length: %d\r\n\r\n%s" % (len(body), body) for body in bodies))


async def test_a_recorded_server_behaves_as_if_nobody_listened(tmp_path: Path) -> None:
    """Every byte arrives, both ways, and so do the end of the input and the exit code."""
    records = tmp_path / "records"
    records.mkdir()
    echo = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read()); sys.exit(7)"
    command = [sys.executable, str(TEE), str(records), "--", sys.executable, "-c", echo]
    process = await asyncio.create_subprocess_exec(*command, stdin=-1, stdout=-1)
    async with asyncio.timeout(20):
        out, _ = await process.communicate(bytes(range(256)) * 1000)
    assert out == bytes(range(256)) * 1000
    assert process.returncode == 7
    assert sorted(path.suffix for path in records.iterdir()) == [".client", ".server"]
    assert {path.read_bytes() for path in records.iterdir()} == {out}
