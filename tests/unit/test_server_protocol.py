"""The rules of the conversation, driven by bytes: every request is answered exactly once, and by the right thing."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.support.raw_client import INITIALIZE
from tests.support.scripted import ScriptedEngine
from tests.support.sessions import URI, SlowEngine, open_document, quiet, ready, started

PARSE, INVALID_REQUEST, NOT_FOUND, INVALID_PARAMS, INTERNAL = -32700, -32600, -32601, -32602, -32603
NOT_INITIALIZED, CANCELLED, MODIFIED = -32002, -32800, -32801
AT_START = {"textDocument": {"uri": URI}, "position": {"line": 0, "character": 0}}


async def test_requests_before_initialize_are_refused() -> None:
    """-32002 for every method but initialize; initialize still works afterwards."""
    async with quiet() as client:
        for method in ("shutdown", "textDocument/completion", "no/such", "gemma-lsp/status"):
            assert (await client.ask(method, AT_START))["error"]["code"] == NOT_INITIALIZED
        assert "capabilities" in await client.result("initialize", INITIALIZE)


async def test_notifications_before_initialize_are_dropped() -> None:
    """A document that is opened too early is not there afterwards."""
    async with quiet() as client:
        open_document(client)
        await started(client)
        assert (await client.result("gemma-lsp/status"))["workspaces"] == []


async def test_a_second_initialize_is_refused() -> None:
    """And the session goes on as it was."""
    async with quiet() as client:
        await started(client)
        assert (await client.ask("initialize", INITIALIZE))["error"]["code"] == INVALID_REQUEST
        assert (await client.result("gemma-lsp/status"))["version"]


async def test_an_invalid_initialize_can_be_repeated() -> None:
    """Invalid parameters do not use up the one initialize."""
    async with quiet() as client:
        assert (await client.ask("initialize", {"capabilities": 3}))["error"]["code"] == INVALID_PARAMS
        assert "capabilities" in await client.result("initialize", INITIALIZE)


async def test_requests_after_shutdown_are_refused() -> None:
    """Invalid request, a second shutdown included; exit then ends with 0."""
    async with quiet() as client:
        await started(client)
        assert await client.result("shutdown") is None
        for method in ("shutdown", "initialize", "textDocument/completion", "no/such"):
            assert (await client.ask(method, AT_START))["error"]["code"] == INVALID_REQUEST
        client.notify("exit")
        assert await client.exit_code == 0


@pytest.mark.parametrize("begin", [False, True])
async def test_exit_without_shutdown_ends_with_1(begin: bool) -> None:
    """Before and after initialize."""
    async with quiet() as client:
        if begin:
            await started(client)
        client.notify("exit")
        assert await client.exit_code == 1


async def test_a_client_that_goes_away_ends_the_server() -> None:
    """The end of the input is the end of the session, an abnormal one."""
    async with quiet() as client:
        await started(client)
        client.close_input()
        assert await client.exit_code == 1


async def test_unknown_methods() -> None:
    """A request is answered by MethodNotFound, also the client's own methods; a notification is ignored."""
    async with quiet() as client:
        await started(client)
        for method in ("no/such", "$/noSuch", "window/showDocument", "workspace/configuration", "textDocument/rename"):
            assert (await client.ask(method, {}))["error"]["code"] == NOT_FOUND
        client.notify("no/such", {})
        client.notify("$/noSuch")
        assert (await client.result("gemma-lsp/status"))["version"]
        assert client.received("window/showMessage") == []


@pytest.mark.parametrize(
    "params",
    [
        None,
        {},
        [],
        "text",
        {"textDocument": {"uri": URI}, "position": {"line": -1, "character": 0}},
        {"textDocument": {"uri": URI}, "position": {"line": "one", "character": 0}},
        {"textDocument": URI, "position": {"line": 0, "character": 0}},
        {"textDocument": {"uri": URI}},
    ],
)
async def test_invalid_params_get_one_error_and_no_message(params: Any) -> None:
    """One InvalidParams answer without data, nothing shown to the person, and the server lives."""
    async with quiet() as client:
        await started(client)
        id_ = client.begin("textDocument/completion", params)
        error = (await client.answer(id_))["error"]
        assert error["code"] == INVALID_PARAMS
        assert "data" not in error
        assert "textDocument/completion" in error["message"]
        await client.result("gemma-lsp/status")
        assert len(client.answers(id_)) == 1
        assert client.received("window/showMessage") == []


async def test_invalid_notifications_are_dropped() -> None:
    """Nobody waits for an answer, and nothing is shown."""
    async with quiet() as client:
        await started(client)
        client.notify("textDocument/didOpen", {"textDocument": 3})
        client.notify("textDocument/didChange", {})
        client.notify("$/cancelRequest", {"id": [1]})
        await client.result("gemma-lsp/status")
        assert client.received("window/showMessage") == []


async def test_an_invalid_message_gets_one_error() -> None:
    """Bodies that are no JSON, batches, other versions, ids that cannot be; what comes after is still understood."""
    async with quiet() as client:
        await started(client)
        for body in (b"{", b"\xff\xfe", b'"text"', b"[]", b"[" * 100_000):
            client.send_bytes(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        client.send({"jsonrpc": "2.0", "id": None, "method": "gemma-lsp/status"})
        client.send({"jsonrpc": "2.0", "id": 1.5, "method": "gemma-lsp/status"})
        client.send({"jsonrpc": "1.0", "id": 70, "method": "gemma-lsp/status"})
        client.send({"jsonrpc": "2.0", "id": 71, "method": 5})
        await client.result("gemma-lsp/status")
        codes = [m["error"]["code"] for m in client.messages if m.get("id", 0) is None]
        assert codes == [PARSE, PARSE, INVALID_REQUEST, INVALID_REQUEST, PARSE, INVALID_REQUEST, INVALID_REQUEST]
        assert client.answers(70)[0]["error"]["code"] == INVALID_REQUEST
        assert client.answers(71)[0]["error"]["code"] == INVALID_REQUEST


async def test_answers_to_nothing_are_ignored() -> None:
    """An answer with an unknown id, or with neither result nor method, must not be answered back."""
    async with quiet() as client:
        await started(client)
        before = len(client.messages)
        client.send({"jsonrpc": "2.0", "id": 999, "result": 1})
        client.send({"jsonrpc": "2.0", "id": "x", "error": {"code": 1, "message": "no"}})
        client.send({"jsonrpc": "2.0", "id": 998})
        client.send({"jsonrpc": "2.0"})
        client.send({})
        await client.result("gemma-lsp/status")
        assert len(client.messages) == before + 1


async def test_kinds_of_messages_are_kept_apart() -> None:
    """A notification sent with an id is an invalid request; a request without one is not answered."""
    async with quiet() as client:
        await started(client)
        answer = await client.ask("textDocument/didClose", {"textDocument": {"uri": URI}})
        assert answer["error"]["code"] == INVALID_REQUEST
        client.notify("shutdown")
        assert (await client.result("gemma-lsp/status"))["version"]


async def test_headers_may_be_written_in_other_ways() -> None:
    """Names of headers have no case, and a content type may come along."""
    async with quiet() as client:
        body = json.dumps({"jsonrpc": "2.0", "id": 1000, "method": "initialize", "params": INITIALIZE}).encode()
        header = b"content-type: application/vscode-jsonrpc; charset=utf-8\r\ncontent-length: %d\r\n\r\n" % len(body)
        client.send_bytes(header + body)
        assert "result" in await client.answer(1000)


async def test_a_running_request_can_be_cancelled() -> None:
    """It is answered once, by RequestCancelled, and the engine stops; cancelling it again does nothing."""
    engine = SlowEngine()
    async with quiet(engine) as client:
        await started(client)
        open_document(client)
        await ready(client)
        arguments = [{"question": "what is this?"}]
        id_ = client.begin("workspace/executeCommand", {"command": "gemma-lsp.ask", "arguments": arguments})
        await asyncio.wait_for(engine.running.wait(), 20)
        client.notify("$/cancelRequest", {"id": id_})
        assert (await client.answer(id_))["error"]["code"] == CANCELLED
        client.notify("$/cancelRequest", {"id": id_})
        client.notify("$/cancelRequest", {"id": "never sent"})
        await client.result("gemma-lsp/status")
        assert len(client.answers(id_)) == 1
        assert engine.cancelled == 1


async def test_a_request_can_be_cancelled_before_it_begins() -> None:
    """Both messages arrive together."""
    async with quiet(SlowEngine()) as client:
        await started(client)
        open_document(client)
        await ready(client)
        params = {**AT_START, "context": {"triggerKind": 1}}
        id_ = client.begin("textDocument/inlineCompletion", params)
        client.notify("$/cancelRequest", {"id": id_})
        assert (await client.answer(id_))["error"]["code"] == CANCELLED


@pytest.mark.parametrize("by", ["a newer request", "a change", "the end of the document"])
async def test_a_stale_inline_completion_is_answered_at_once(by: str) -> None:
    """ContentModified, without the client having cancelled it, and the engine stops."""
    engine = SlowEngine()
    async with quiet(engine) as client:
        await started(client)
        open_document(client)
        await ready(client)
        params = {
            "textDocument": {"uri": URI},
            "position": {"line": 1, "character": 11},
            "context": {"triggerKind": 1},
        }
        older = client.begin("textDocument/inlineCompletion", params)
        await asyncio.wait_for(engine.running.wait(), 20)
        newer = None
        if by == "a newer request":
            newer = client.begin("textDocument/inlineCompletion", params)
        elif by == "a change":
            identifier = {"uri": URI, "version": 2}
            client.notify("textDocument/didChange", {"textDocument": identifier, "contentChanges": [{"text": "x"}]})
        else:
            client.notify("textDocument/didClose", {"textDocument": {"uri": URI}})
        assert (await client.answer(older))["error"]["code"] == MODIFIED
        async with asyncio.timeout(20):
            while not engine.cancelled:
                await asyncio.sleep(0.001)
        assert newer is None or not client.answers(newer)


async def test_shutdown_answers_what_runs_first() -> None:
    """Each running request is answered as cancelled, then shutdown itself."""
    engine = SlowEngine()
    async with quiet(engine) as client:
        await started(client)
        open_document(client)
        await ready(client)
        arguments = [{"question": "what is this?"}]
        running = client.begin("workspace/executeCommand", {"command": "gemma-lsp.ask", "arguments": arguments})
        await asyncio.wait_for(engine.running.wait(), 20)
        last = client.begin("shutdown")
        assert (await client.answer(last))["result"] is None
        assert client.answers(running)[0]["error"]["code"] == CANCELLED
        order = [m.get("id") for m in client.messages if "method" not in m]
        assert order.index(running) < order.index(last)


async def test_an_id_in_use_is_refused() -> None:
    """The second request with the same id is answered by an error; the first goes on."""
    engine = SlowEngine()
    async with quiet(engine) as client:
        await started(client)
        open_document(client)
        await ready(client)
        ask = {"command": "gemma-lsp.ask", "arguments": [{"question": "what is this?"}]}
        client.send({"jsonrpc": "2.0", "id": "same", "method": "workspace/executeCommand", "params": ask})
        await asyncio.wait_for(engine.running.wait(), 20)
        client.send({"jsonrpc": "2.0", "id": "same", "method": "gemma-lsp/status"})
        assert (await client.answer("same"))["error"]["code"] == INVALID_REQUEST
        assert engine.cancelled == 0


async def test_a_bug_answers_without_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """InternalError with one sentence; the traceback stays in the log."""
    monkeypatch.setattr("gemma_lsp.app.status.status", lambda *args: 1 / 0)
    async with quiet() as client:
        await started(client)
        error = (await client.ask("gemma-lsp/status"))["error"]
        assert error["code"] == INTERNAL
        assert error["message"] == "gemma-lsp/status failed inside the server; see its log"
        assert "data" not in error


async def test_a_result_that_cannot_be_sent_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A result that is no JSON is a bug like any other: the request is still answered."""
    monkeypatch.setattr("gemma_lsp.app.status.status", lambda *args: {"engine": object()})
    async with quiet() as client:
        await started(client)
        assert (await client.ask("gemma-lsp/status"))["error"]["code"] == INTERNAL


async def test_messages_are_handled_in_the_order_in_which_they_came() -> None:
    """A request sees the document as it was when the request was sent, though a change follows at once."""
    seen: list[str] = []
    engine = ScriptedEngine(lambda asked: seen.append(asked.text) or "width")
    async with quiet(engine) as client:
        await started(client)
        open_document(client)
        await ready(client)
        identifier = {"uri": URI, "version": 2}
        params = {**AT_START, "position": {"line": 1, "character": 11}, "context": {"triggerKind": 1}}
        id_ = client.begin("textDocument/inlineCompletion", params)
        await client.answer(id_)
        client.notify("textDocument/didChange", {"textDocument": identifier, "contentChanges": [{"text": "x = "}]})
        later = {**AT_START, "position": {"line": 0, "character": 4}, "context": {"triggerKind": 1}}
        await client.result("textDocument/inlineCompletion", later)
        assert seen[0].endswith("return ")
        assert any(text.endswith("x = ") for text in seen)


async def test_no_source_text_is_logged_at_the_default_level(caplog: pytest.LogCaptureFixture) -> None:
    """Bodies are logged at debug level only."""
    with caplog.at_level("INFO"):
        async with quiet() as client:
            await started(client)
            open_document(client, "private_name = 1\n")
            client.notify("textDocument/didOpen", {"textDocument": {"text": "private_name"}})
            await client.ask("textDocument/completion", {"private_name": 1})
        assert "private_name" not in caplog.text
