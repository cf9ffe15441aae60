"""A client made of bytes: JSON-RPC written by hand, so that it shares no code with the server or with pygls.

`served` runs the server in the test's own event loop; `spawned` runs any command as a process.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import subprocess
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from gemma_lsp.app import EngineFactory
from gemma_lsp.config.load import Source
from gemma_lsp.server import serve

LIMIT_S = 20.0
Message = dict[str, Any]
Answerer = Callable[[Any], Any]


class Refuse(Exception):
    """Raised by an answerer: the client answers with this error."""

    def __init__(self, code: int, message: str = "refused") -> None:
        super().__init__(message)
        self.code = code


class RawClient:
    """Sends bytes; keeps everything that comes back, in order."""

    def __init__(self, to_server: BinaryIO, from_server: BinaryIO) -> None:
        self._out, self._in = to_server, from_server
        self._ids = itertools.count(1)
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Condition()
        self._seen: set[asyncio.Task[None]] = set()
        self.limit_s = LIMIT_S
        self.messages: list[Message] = []
        self.answerers: dict[str, Answerer] = {
            "client/registerCapability": lambda params: None,
            "client/unregisterCapability": lambda params: None,
            "window/workDoneProgress/create": lambda params: None,
            "workspace/configuration": lambda params: [None for _ in params["items"]],
            "workspace/diagnostic/refresh": lambda params: None,
            "window/showDocument": lambda params: {"success": True},
        }
        self.closed = asyncio.Event()
        self.exit_code: asyncio.Future[int] = self._loop.create_future()
        threading.Thread(target=self._read, daemon=True).start()

    # -- out -------------------------------------------------------------------------------------------------------

    def send_bytes(self, data: bytes) -> None:
        """Writes raw bytes."""
        self._out.write(data)
        self._out.flush()

    def send(self, message: object) -> None:
        """Writes one framed message."""
        body = json.dumps(message).encode()
        self.send_bytes(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))

    def notify(self, method: str, params: Any = None) -> None:
        """Sends a notification."""
        self.send({"jsonrpc": "2.0", "method": method, **({} if params is None else {"params": params})})

    def begin(self, method: str, params: Any = None) -> int:
        """Sends a request and returns its id."""
        id_ = next(self._ids)
        self.send({"jsonrpc": "2.0", "id": id_, "method": method, **({} if params is None else {"params": params})})
        return id_

    async def ask(self, method: str, params: Any = None) -> Message:
        """Sends a request and waits for its answer, the whole message."""
        return await self.answer(self.begin(method, params))

    async def result(self, method: str, params: Any = None) -> Any:
        """Sends a request and waits for its result; an error fails the test."""
        answer = await self.ask(method, params)
        assert "error" not in answer, answer
        return answer["result"]

    def close_input(self) -> None:
        """The client goes away."""
        self._out.close()

    # -- in --------------------------------------------------------------------------------------------------------

    async def until(self, found: Callable[[], Any]) -> Any:
        """Waits until `found` is true of what has arrived."""
        async with asyncio.timeout(self.limit_s), self._changed:
            while not (value := found()):
                assert not self.closed.is_set(), f"the server went away; it said {self.messages[-3:]}"
                await self._changed.wait()
            return value

    async def answer(self, id_: object) -> Message:
        """Waits for the answer to a request."""
        await self.until(lambda: self.answers(id_))
        return self.answers(id_)[0]

    def answers(self, id_: object) -> list[Message]:
        """Everything that answered this id."""
        return [m for m in self.messages if "method" not in m and m.get("id") == id_]

    def received(self, method: str) -> list[Any]:
        """The parameters of everything the server sent by this method, in order."""
        return [m.get("params") for m in self.messages if m.get("method") == method]

    async def notification(self, method: str, fits: Callable[[Any], bool] = lambda params: True) -> Any:
        """Waits for a message of this method."""
        await self.until(lambda: any(fits(p) for p in self.received(method)))
        return next(p for p in self.received(method) if fits(p))

    def _read(self) -> None:
        while (message := _read_message(self._in)) is not None:
            self._loop.call_soon_threadsafe(self._take, message)
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._end)

    def _take(self, message: Message) -> None:
        self.messages.append(message)
        if "method" in message and "id" in message:
            self._answer(message)
        self._tell()

    def _answer(self, message: Message) -> None:
        answerer = self.answerers.get(message["method"])
        body: Message = {"jsonrpc": "2.0", "id": message["id"]}
        try:
            if answerer is None:
                raise Refuse(-32601, "method not found")
            body["result"] = answerer(message.get("params"))
        except Refuse as error:
            body["error"] = {"code": error.code, "message": str(error)}
        with contextlib.suppress(OSError, ValueError):
            self.send(body)

    def _end(self) -> None:
        self.closed.set()
        self._tell()

    def _tell(self) -> None:
        task = asyncio.ensure_future(self._notify_all())
        self._seen.add(task)
        task.add_done_callback(self._seen.discard)

    async def _notify_all(self) -> None:
        async with self._changed:
            self._changed.notify_all()


def _read_message(stream: BinaryIO) -> Message | None:
    length = 0
    while line := stream.readline():
        if not line.strip():
            body = stream.read(length)
            return json.loads(body) if len(body) == length else None
        name, _, value = line.partition(b":")
        assert name.lower() == b"content-length", f"not a header of the protocol: {line!r}"
        length = int(value)
    return None


INITIALIZE: Message = {"processId": None, "rootUri": None, "capabilities": {}}


@contextlib.asynccontextmanager
async def served(factory: EngineFactory, sources: Sequence[Source] = ()) -> AsyncIterator[RawClient]:
    """A server in this loop. Afterwards it has ended with `exit_code`."""
    in_read, in_write = os.pipe()
    out_read, out_write = os.pipe()
    to_server, from_server = os.fdopen(in_write, "wb"), os.fdopen(out_read, "rb")
    server_in, server_out = os.fdopen(in_read, "rb"), os.fdopen(out_write, "wb")
    client = RawClient(to_server, from_server)
    task = asyncio.create_task(_serve(server_in, server_out, factory, sources))
    client.exit_code = task
    try:
        yield client
    finally:
        with contextlib.suppress(OSError, ValueError):
            to_server.close()
        async with asyncio.timeout(LIMIT_S):
            await task
        await client.closed.wait()


async def _serve(stdin: BinaryIO, stdout: BinaryIO, factory: EngineFactory, sources: Sequence[Source]) -> int:
    try:
        return await serve(stdin, stdout, factory, sources)
    finally:
        stdout.close()


@contextlib.asynccontextmanager
async def spawned(command: Sequence[str], env: dict[str, str], log: Path) -> AsyncIterator[RawClient]:
    """A server process, with its standard error in `log`. Killed if it does not end once its input is closed."""
    with open(log, "wb") as stderr:
        process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr)
    assert process.stdin is not None
    assert process.stdout is not None
    client = RawClient(process.stdin, process.stdout)
    client.exit_code = asyncio.ensure_future(asyncio.to_thread(process.wait))
    try:
        yield client
    finally:
        with contextlib.suppress(OSError, ValueError):
            process.stdin.close()
        try:
            await asyncio.wait_for(asyncio.shield(client.exit_code), LIMIT_S)
        except TimeoutError:
            process.kill()
            raise
        finally:
            process.stdout.close()
