"""A small language client: starts the server as an editor does and talks to it over stdio. Event loop only.

Written against the protocol, not against our server: it shares no code with it. Positions are UTF-16 (the default).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gemma_lsp.base.errors import GemmaLspError

STOP_LIMIT_S = 10.0

Json = Any
OnNotification = Callable[[str, Json], None]

CAPABILITIES: Mapping[str, Json] = {
    "general": {"positionEncodings": ["utf-16"]},
    "window": {"workDoneProgress": True, "showDocument": {"support": True}},
    "workspace": {
        "configuration": True,
        "workspaceFolders": True,
        "didChangeWatchedFiles": {"dynamicRegistration": True},
    },
    "textDocument": {
        "synchronization": {"didSave": True},
        "inlineCompletion": {},
        "codeAction": {
            "codeActionLiteralSupport": {"codeActionKind": {"valueSet": ["quickfix", "refactor", "source"]}},
            "resolveSupport": {"properties": ["edit"]},
        },
        "diagnostic": {"relatedDocumentSupport": False},
    },
    "experimental": {"gemmaLsp": {"stream": True, "cost": True}},
}


class ServerError(GemmaLspError):
    """The server answered with an error, or went away."""


class EditorClient:
    """One session. Invariant: every request that was sent is answered, or fails with `ServerError`."""

    def __init__(self, process: asyncio.subprocess.Process, on_notification: OnNotification) -> None:
        self._process = process
        self._on_notification = on_notification
        self._ids = itertools.count(1)
        self._pending: dict[int, asyncio.Future[Json]] = {}
        self._versions: dict[str, int] = {}
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(
        cls, command: Sequence[str], log: Path, on_notification: OnNotification, env: Mapping[str, str] | None = None
    ) -> EditorClient:
        """Starts the server; what it logs goes to a file."""
        with log.open("wb") as stderr:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
                env={**os.environ, **(env or {})},
            )
        return cls(process, on_notification)

    # -- the session -----------------------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        """The server's process."""
        return self._process.pid

    async def initialize(self, root: Path, options: Json) -> Json:
        """The handshake; the server's answer to `initialize`."""
        result = await self.greet(root, options)
        self.notify("initialized", {})
        return result

    async def greet(self, root: Path, options: Json) -> Json:
        """`initialize` alone: the server knows its folder and does not begin yet."""
        return await self.request(
            "initialize",
            {
                "processId": os.getpid(),
                "clientInfo": {"name": "gemma-lsp"},
                "rootUri": root.as_uri(),
                "workspaceFolders": [{"uri": root.as_uri(), "name": root.name}],
                "capabilities": CAPABILITIES,
                "initializationOptions": options,
            },
        )

    async def stop(self) -> None:
        """Shuts the server down; one that does not go is killed."""
        with contextlib.suppress(ServerError, TimeoutError, OSError):
            async with asyncio.timeout(STOP_LIMIT_S):
                await self.request("shutdown", None)
                self.notify("exit", None)
                await self._process.wait()
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        self._reading.cancel()
        await asyncio.wait([self._reading])

    # -- documents -------------------------------------------------------------------------------------------------

    def open(self, path: Path, text: str) -> None:
        """The user opens a file."""
        self._versions[path.as_uri()] = 1
        document = {"uri": path.as_uri(), "languageId": "python", "version": 1, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": document})

    def edit(self, path: Path, start: Json, end: Json, text: str) -> None:
        """The user replaces a range in an open file."""
        uri = path.as_uri()
        self._versions[uri] += 1
        changes = [{"range": {"start": start, "end": end}, "text": text}]
        document = {"uri": uri, "version": self._versions[uri]}
        self.notify("textDocument/didChange", {"textDocument": document, "contentChanges": changes})

    # -- messages --------------------------------------------------------------------------------------------------

    async def request(self, method: str, params: Json) -> Json:
        """Asks the server. Raises `ServerError`."""
        id_ = next(self._ids)
        self._pending[id_] = asyncio.get_running_loop().create_future()
        try:
            self._send({"id": id_, "method": method, "params": params})
            return await self._pending[id_]
        finally:
            del self._pending[id_]

    def notify(self, method: str, params: Json) -> None:
        """Tells the server."""
        self._send({"method": method, "params": params})

    def _send(self, message: Json) -> None:
        if self._process.returncode is not None:
            raise ServerError(f"the server has stopped with exit code {self._process.returncode}")
        assert self._process.stdin
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))

    async def _read(self) -> None:
        assert self._process.stdout
        try:
            while True:
                head = await self._process.stdout.readuntil(b"\r\n\r\n")
                length = next(int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length:"))
                self._take(json.loads(await self._process.stdout.readexactly(length)))
        except (asyncio.IncompleteReadError, OSError):
            for future in self._pending.values():
                if not future.done():
                    future.set_exception(ServerError("the server has stopped in the middle of a request"))

    def _take(self, message: Json) -> None:
        if "method" not in message:
            future = self._pending.get(message["id"])
            if future is not None and not future.done():
                self._settle(future, message)
        elif "id" in message:
            self._send({"id": message["id"], "result": _answer(message["method"], message.get("params") or {})})
        else:
            self._on_notification(message["method"], message.get("params") or {})

    def _settle(self, future: asyncio.Future[Json], message: Json) -> None:
        if "error" in message:
            future.set_exception(ServerError(message["error"]["message"]))
        else:
            future.set_result(message.get("result"))


def _answer(method: str, params: Json) -> Json:
    """What an editor answers to the server's requests: settings none, documents shown, the rest accepted."""
    if method == "workspace/configuration":
        return [None] * len(params["items"])
    return {"success": True} if method == "window/showDocument" else None
