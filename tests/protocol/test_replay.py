"""Every message of tests/data/lsp-messages is sent to the server, which answers what must be answered and lives on."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest

from tests.protocol.dataset import samples
from tests.protocol.metamodel import MAX, SERVER_CANCELLED, meta_model
from tests.support.raw_client import INITIALIZE, RawClient, Refuse
from tests.support.scripted import ScriptedEngine
from tests.support.sessions import URI, inline_at, open_document, quiet, ready, started

INVALID_REQUEST, NOT_FOUND, INVALID_PARAMS = -32600, -32601, -32602
LIFECYCLE = {"initialize", "initialized", "shutdown", "exit"}
SERVED = {
    "codeAction/resolve",
    "textDocument/codeAction",
    "textDocument/completion",
    "textDocument/diagnostic",
    "textDocument/inlineCompletion",
    "workspace/diagnostic",
    "workspace/executeCommand",
}
SERVED_WITHOUT_AN_ID = {
    "$/setTrace",
    "textDocument/didChange",
    "textDocument/didClose",
    "textDocument/didOpen",
    "textDocument/didSave",
    "window/workDoneProgress/cancel",
    "workspace/didChangeConfiguration",
    "workspace/didChangeWatchedFiles",
    "workspace/didChangeWorkspaceFolders",
}
SCRIPT = "width * height"


@pytest.fixture(autouse=True)
def _reviews_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gemma_lsp.server.reviews.QUIET_S", 0.0)


def with_own_ids(messages: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages, each usable id replaced by one of its kind that no other has; the others stay as they are."""
    numbers = itertools.count(1_000_000)
    return [renumbered(message, next(numbers)) for message in messages]


def renumbered(message: dict[str, Any], number: int) -> dict[str, Any]:
    id_ = message.get("id")
    if isinstance(id_, str):
        return {**message, "id": f"{id_} {number}"}
    if type(id_) is int:
        size = number if -MAX - 1 <= id_ <= MAX else number + MAX + 1
        return {**message, "id": size if id_ > 0 else -size}
    return message


def is_asked(message: dict[str, Any]) -> bool:
    """Whether it must be answered by its id."""
    return isinstance(message.get("method"), str) and type(message.get("id")) in (int, str)


def has_bad_id(message: dict[str, Any]) -> bool:
    """Whether it is neither a request nor a notification."""
    return "id" in message and type(message["id"]) not in (int, str)


class Outstanding:
    """The answers that are still to come; looks at each message of the client once."""

    def __init__(self, client: RawClient, ids: Iterable[Any]) -> None:
        self._client, self._ids, self._n_seen = client, set(ids), len(client.messages)

    def all_here(self) -> bool:
        messages = self._client.messages
        for message in messages[self._n_seen :]:
            if "method" not in message:
                self._ids.discard(message.get("id"))
        self._n_seen = len(messages)
        return not self._ids


async def send_all(client: RawClient, messages: list[dict[str, Any]]) -> None:
    """Writes everything at once, from a thread, while the answers are read; waits until all of them are here."""
    bodies = [json.dumps(message).encode() for message in messages]
    stream = b"".join(b"Content-Length: %d\r\n\r\n%s" % (len(body), body) for body in bodies)
    outstanding = Outstanding(client, (message["id"] for message in messages if is_asked(message)))
    client.limit_s = 120.0
    await asyncio.to_thread(client.send_bytes, stream)
    await client.until(outstanding.all_here)


def wanted(message: dict[str, Any]) -> int:
    """The error's code of the answer to a request, 0 for one that is served: see `code_of`."""
    method = message["method"]
    if message.get("jsonrpc") != "2.0" or method in SERVED_WITHOUT_AN_ID:
        return INVALID_REQUEST
    if method not in SERVED:
        return NOT_FOUND
    if method == "workspace/executeCommand" or meta_model().params(method, message.get("params")):
        return INVALID_PARAMS  # the data set knows none of our commands
    return 0


def code_of(answer: dict[str, Any]) -> int:
    """The error's code; 0 for a result, and for a pull of diagnostics that a newer one replaces."""
    code: int = answer["error"]["code"] if "error" in answer else 0
    return 0 if code == SERVER_CANCELLED else code


async def test_every_request_is_answered_once_and_the_server_lives_on() -> None:
    """All messages but those of the lifecycle, in one session; afterwards it completes."""
    messages = with_own_ids(sample.message for sample in samples() if sample.method not in LIFECYCLE)
    assert len(messages) == 21_249
    async with quiet(ScriptedEngine(SCRIPT)) as client:
        await started(client)
        open_document(client)
        await ready(client)
        client.messages.clear()
        await send_all(client, [*messages, {"jsonrpc": "2.0", "id": "the end", "method": "gemma-lsp/status"}])
        await client.until(lambda: len(client.received("window/showMessage")) == 3)
        (end,) = client.answers("the end")
        client.messages.remove(end)
        n_before = len(client.messages)
        await assert_completes(client)
        (completed,) = (message for message in client.messages[n_before:] if "result" in message)
        client.messages.remove(completed)
    got = client.messages
    assert_answers(messages, [message for message in got if "method" not in message])
    assert "Traceback" not in json.dumps(got)
    # The names of settings and of a folder come from the data set; each is named once, in whatever number it comes.
    boxes = [message["params"]["message"] for message in got if message.get("method") == "window/showMessage"]
    assert len(boxes) == len(set(boxes)) == 3
    assert sum("no such setting" in box for box in boxes) == 2
    assert sum("cannot be read" in box for box in boxes) == 1


STALE = (-32801, -32802)  # ContentModified, ServerCancelled


def assert_answers(messages: list[dict[str, Any]], answers: list[dict[str, Any]]) -> None:
    """One each, with the right code, and one without an id for each message whose id cannot be used."""
    asked = {message["id"]: message for message in messages if is_asked(message)}
    n_answers = Counter(answer["id"] for answer in answers)
    assert n_answers.pop(None) == sum(isinstance(m.get("method"), str) and has_bad_id(m) for m in messages)
    assert n_answers == dict.fromkeys(asked, 1)
    codes = {answer["id"]: code_of(answer) for answer in answers if answer["id"] is not None}
    expected = {id_: wanted(message) for id_, message in asked.items()}
    # A newer message may make a good request stale before its answer is ready: docs/protocol.md, "Stale answers".
    settled = {id_: 0 if code in STALE and expected[id_] == 0 else code for id_, code in codes.items()}
    assert settled == expected
    assert {code_of(answer) for answer in answers if answer["id"] is None} == {INVALID_REQUEST}


async def assert_completes(client: RawClient) -> None:
    answer = await client.result("textDocument/inlineCompletion", inline_at(URI, 1, 11))
    assert [item["insertText"] for item in answer["items"]] == [SCRIPT]


async def test_every_answer_to_a_question_of_the_server() -> None:
    """`workspace/configuration` is answered with each result and then each error of the data set, good or bad."""
    answers = [s.message for s in samples() if s.kind == "ConfigurationResponse" and "error" in s.message]
    halves = iter([*({"result": a["result"]} for a in answers), *({"error": a["error"]} for a in answers)])
    n_asked = 0

    def configuration(params: Any) -> Any:
        nonlocal n_asked
        n_asked += 1
        match next(halves):
            case {"result": result}:
                return result
            case {"error": error}:
                raise Refuse(error["code"], error["message"])

    async with quiet(ScriptedEngine(SCRIPT)) as client:
        client.answerers["workspace/configuration"] = configuration
        await started(client, workspace={"configuration": True})
        open_document(client)
        await ready(client)
        for _ in range(2 * len(answers) - 1):
            client.notify("workspace/didChangeConfiguration", {"settings": None})
        await client.until(lambda: n_asked == 2 * len(answers))
        await client.result("gemma-lsp/status")
        await assert_completes(client)
        boxes = [box["message"] for box in client.received("window/showMessage")]
    assert len(boxes) == len(set(boxes)) == 7
    assert all("no such setting" in box or "expected an object of settings" in box for box in boxes)


async def test_what_comes_before_the_settings_waits_for_them() -> None:
    """A command between `initialize` and `initialized` does not spoil the start of the model."""
    async with quiet(ScriptedEngine(SCRIPT)) as client:
        await client.result("initialize", INITIALIZE)
        open_document(client)
        question = {"command": "gemma-lsp.ask", "arguments": [{"question": "why?"}]}
        asked = client.begin("workspace/executeCommand", question)
        await client.result("gemma-lsp/status")
        client.notify("initialized", {})
        await ready(client)
        assert "result" in await client.answer(asked)
        await assert_completes(client)


# -- the lifecycle -----------------------------------------------------------------------------------------------------


async def test_every_initialize() -> None:
    """An invalid one is refused and does not use up the session; after a valid one the server works and ends well."""
    n_begun = 0
    waiting = with_own_ids(sample.message for sample in samples() if sample.method == "initialize")
    while waiting:
        async with quiet(ScriptedEngine(SCRIPT)) as client:
            while waiting and not await begins(client, waiting.pop()):
                pass
            if client.messages and "result" in client.messages[-1]:
                n_begun += 1
                await client.result("shutdown")
                client.notify("exit")
                assert await client.exit_code == 0
    assert n_begun == 21


async def begins(client: RawClient, message: dict[str, Any]) -> bool:
    """Sends one `initialize`; whether the session has begun. What is not asked properly is not answered by its id."""
    client.send(message)
    if not is_asked(message):
        if has_bad_id(message):
            await client.until(lambda: client.answers(None))
            client.messages.clear()
        return False
    answer = await client.answer(message["id"])
    valid = message.get("jsonrpc") == "2.0" and meta_model().params("initialize", message["params"]) is None
    assert ("result" in answer) == valid
    assert valid or answer["error"]["code"] in (INVALID_REQUEST, INVALID_PARAMS)
    assert "Traceback" not in json.dumps(answer)
    return valid


@pytest.mark.parametrize("n", range(sum(sample.method == "shutdown" for sample in samples())))
async def test_every_shutdown(n: int) -> None:
    """Only a proper request ends the session; after anything else it completes."""
    (message,) = with_own_ids([[s.message for s in samples() if s.method == "shutdown"][n]])
    async with quiet(ScriptedEngine(SCRIPT)) as client:
        await started(client)
        open_document(client)
        await ready(client)
        client.send(message)
        if is_asked(message) and message.get("jsonrpc") == "2.0":
            assert await client.answer(message["id"]) == {"jsonrpc": "2.0", "id": message["id"], "result": None}
            client.notify("exit")
            assert await client.exit_code == 0
        else:
            await assert_completes(client)


@pytest.mark.parametrize("valid", [True, False])
async def test_every_initialized_and_exit(valid: bool) -> None:
    """A broken `initialized` begins nothing and a broken `exit` ends nothing; the session stays."""
    (begin,), (end,) = (
        [s.message for s in samples() if s.kind == kind and s.valid == valid]
        for kind in ("InitializedNotification", "ExitNotification")
    )
    async with quiet(ScriptedEngine(SCRIPT)) as client:
        await client.result("initialize", INITIALIZE)
        client.send(begin)
        if not valid:
            client.notify("initialized", {})
        open_document(client)
        await ready(client)
        await assert_completes(client)
        await client.result("shutdown")
        client.send(end)
        if not valid:
            assert (await client.ask("gemma-lsp/status"))["error"]["code"] == INVALID_REQUEST
            client.notify("exit")
        assert await client.exit_code == 0
