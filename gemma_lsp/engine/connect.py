"""Finds a running engine or starts one, and comes back when it dies. Only the event loop's thread may use it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import subprocess
import sys
import time

from gemma_lsp.base.errors import EngineUnavailable
from gemma_lsp.base.programs import own_module
from gemma_lsp.engine.asking import AskingClient
from gemma_lsp.engine.messages import Request
from gemma_lsp.engine.spec import Address, EngineSpec, address_of
from gemma_lsp.engine.wire import HEADER, decode, encode

log = logging.getLogger(__name__)
START_LIMIT_S = 30.0
RESTARTS, RESTART_WINDOW_S = 3, 120.0


class SocketClient(AskingClient):
    """A client of an engine process. Lost engines are started again, at most three times in two minutes."""

    def __init__(self, spec: EngineSpec) -> None:
        super().__init__()
        self._spec = spec
        self._address = address_of(spec)
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None
        self._starts: list[float] = []
        self._closing = False

    async def connect(self) -> None:
        """Connects, starting the engine if none is there. Raises `EngineUnavailable`."""
        reader, self._writer = await self._open()
        self._task = asyncio.create_task(self._read(reader))

    def _send(self, request: Request) -> None:
        if self._writer is None or self._writer.is_closing():
            raise EngineUnavailable("the engine has stopped and is being started again; try once more in a moment")
        self._writer.write(encode(request))

    async def close(self) -> None:
        """Lets go of the engine, which exits by itself when nobody else uses it."""
        self._closing = True
        if self._writer:
            self._writer.close()
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await super().close()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while True:
            try:
                while True:
                    (size,) = HEADER.unpack(await reader.readexactly(HEADER.size))
                    self.deliver(decode(await reader.readexactly(size)))
            except (asyncio.IncompleteReadError, OSError) as error:
                log.warning("the engine is gone: %s", error)
            self.lost("the engine has stopped; it is started again")
            self._writer = None
            if self._closing:
                return
            try:
                reader, self._writer = await self._open()
            except EngineUnavailable as error:
                self.lost(str(error), for_good=True)
                return

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        with contextlib.suppress(OSError, ValueError):
            return await _connect(self._address)
        now = time.monotonic()
        self._starts = [t for t in self._starts if now - t < RESTART_WINDOW_S]
        if len(self._starts) >= RESTARTS:
            raise EngineUnavailable(f"the engine stopped {RESTARTS} times; its log is {self._address.log}")
        self._starts.append(now)
        process = _start(self._spec, self._address)
        while time.monotonic() - now < START_LIMIT_S:
            with contextlib.suppress(OSError, ValueError):
                return await _connect(self._address)
            if process.poll() not in (None, 0):
                raise EngineUnavailable(f"the engine did not start: {_last_line(self._address)}")
            await asyncio.sleep(0.05)
        raise EngineUnavailable(
            f"the engine did not answer within {START_LIMIT_S:.0f} s; its log is {self._address.log}"
        )


async def _connect(address: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if sys.platform == "win32":
        known = json.loads(address.port_file.read_text())
        reader, writer = await asyncio.open_connection("127.0.0.1", int(known["port"]), limit=1 << 20)
        writer.write(str(known["secret"]).encode())
        return reader, writer
    else:  # for the type checker, which looks at one system at a time
        return await asyncio.open_unix_connection(str(address.socket), limit=1 << 20)


def _start(spec: EngineSpec, address: Address) -> subprocess.Popen[bytes]:
    command = own_module("gemma_lsp", "engine", "--spec", spec.to_json())
    flags = 0x00000008 if sys.platform == "win32" else 0  # DETACHED_PROCESS
    with open(os.open(address.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as log_file:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log_file,
            stderr=log_file,
            start_new_session=True,
            creationflags=flags,
        )


def _last_line(address: Address) -> str:
    try:
        lines = address.log.read_text("utf-8", "replace").strip().splitlines()
    except OSError:
        lines = []
    return lines[-1] if lines else "no reason given"
