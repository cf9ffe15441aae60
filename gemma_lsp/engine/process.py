"""The engine as a process: listens where only its user can connect, serves several clients, exits when idle.

The event loop here only moves messages; the engine's own thread computes.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import logging
import os
import secrets
import sys
import time
from dataclasses import replace
from typing import Any

from gemma_lsp.base.errors import EngineError
from gemma_lsp.engine.core import Engine
from gemma_lsp.engine.messages import Cancel, Counted, Event, Failed, Finished, StatusReport
from gemma_lsp.engine.spec import HAS_UNIX_SOCKETS, Address
from gemma_lsp.engine.wire import HEADER, MAX_FRAME, decode, encode

log = logging.getLogger(__name__)


async def serve(engine: Engine, address: Address, idle_exit_s: float) -> None:
    """Serves until no client has been connected for `idle_exit_s` seconds. The caller holds the engine's lock."""
    host = _Host(engine)
    if sys.platform != "win32":
        address.socket.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            listener = await asyncio.start_unix_server(host.accept, str(address.socket))
        finally:
            os.umask(before)
    else:
        host.secret = secrets.token_hex(32)
        listener = await asyncio.start_server(host.accept, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        address.port_file.write_text(json.dumps({"port": port, "secret": host.secret}))
    engine.start()
    try:
        await host.until_idle(idle_exit_s)
    finally:
        listener.close()
        host.disconnect()
        (address.socket if HAS_UNIX_SOCKETS else address.port_file).unlink(missing_ok=True)
        await asyncio.to_thread(engine.close)


class _Host:
    """The connections. Invariant: what a client asked and has not been answered is cancelled when it goes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writers: set[asyncio.StreamWriter] = set()
        self._idle_since = time.monotonic()
        self.secret = ""

    async def until_idle(self, limit: float) -> None:
        while not self._engine.dead and (self._writers or time.monotonic() - self._idle_since < limit):
            await asyncio.sleep(min(1.0, max(0.05, limit / 4)))

    def disconnect(self) -> None:
        """Tells every client that this was it."""
        for writer in self._writers:
            writer.close()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        client = _Connection(self._engine, writer)
        try:
            if await self._admitted(reader):
                await client.run(reader)
        except (asyncio.IncompleteReadError, ConnectionError, EngineError) as error:
            log.debug("a client went: %s", error)
        finally:
            client.gone()
            writer.close()
            self._writers.discard(writer)
            self._idle_since = time.monotonic()

    async def _admitted(self, reader: asyncio.StreamReader) -> bool:
        if not self.secret:
            return True
        said = await asyncio.wait_for(reader.readexactly(len(self.secret)), timeout=5)
        return hmac.compare_digest(said, self.secret.encode())


class _Connection:
    """One client: its ids are its own, so they carry the connection's number inside the engine."""

    _count = 0

    def __init__(self, engine: Engine, writer: asyncio.StreamWriter) -> None:
        _Connection._count += 1
        self._prefix = f"{_Connection._count}/"
        self._engine, self._writer = engine, writer
        self._loop = asyncio.get_running_loop()
        self._open: set[str] = set()
        self._closed = False

    async def run(self, reader: asyncio.StreamReader) -> None:
        self._engine.watch(self._reply)
        while True:
            (size,) = HEADER.unpack(await reader.readexactly(HEADER.size))
            if size > MAX_FRAME:
                raise EngineError("a message is too large")
            request = decode(await reader.readexactly(size))
            if hasattr(request, "id"):
                request = _renamed(request, self._prefix + request.id)
                if not isinstance(request, Cancel):
                    self._open.add(request.id)
            self._engine.submit(request, self._reply)

    def gone(self) -> None:
        self._closed = True
        for id_ in list(self._open):
            self._engine.submit(Cancel(id=id_), lambda event: None)

    def _reply(self, event: Event) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._write, event)

    def _write(self, event: Event) -> None:
        if self._closed:
            return
        id_ = getattr(event, "id", None)
        if id_ is not None:
            if isinstance(event, Finished | Failed | Counted | StatusReport):
                self._open.discard(id_)
            event = _renamed(event, id_.removeprefix(self._prefix))
        self._writer.write(encode(event))


def _renamed(message: Any, id_: str) -> Any:
    return replace(message, id=id_)
