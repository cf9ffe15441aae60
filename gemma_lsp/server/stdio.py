"""Messages over standard input and output: framing, a thread that reads, a thread that writes.

The event loop neither waits for the client to send nor for it to read. Both threads are daemons: what is left of them
never keeps the process from ending.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import re
import threading
from collections.abc import Callable
from typing import BinaryIO

log = logging.getLogger(__name__)

MAX_BODY = 512 * 1024 * 1024
_LENGTH = re.compile(rb"(?:.*[^\w-])?content-length\s*:\s*(\d{1,12})\s*", re.IGNORECASE)
_CLOSE = b""


def read_frame(stream: BinaryIO) -> bytes | None:
    """The body of the next message, b"" for a header without a usable length; None at the end of the stream.

    After such a header its body is read as headers, which end in the length of the message behind it: that is found.
    """
    length: int | None = None
    begun = False
    while True:
        line = stream.readline(4096)
        if not line:
            return None
        if not line.strip() and begun:
            break
        begun = begun or bool(line.strip())
        if match := _LENGTH.fullmatch(line.strip()):
            length = int(match.group(1))
    if length is None or length > MAX_BODY:
        return b""
    body = stream.read(length)
    return body if len(body) == length else None


def frame(body: bytes) -> bytes:
    """A message as it goes over the wire."""
    return b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


def start_reading(stream: BinaryIO, on_body: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
    """Reads messages in a thread and hands them to the running loop, in order; then says that the stream ended."""
    loop = asyncio.get_running_loop()

    def read() -> None:
        try:
            while (body := read_frame(stream)) is not None:
                loop.call_soon_threadsafe(on_body, body)
        except (OSError, ValueError) as error:
            log.warning("cannot read from the client any more: %s", error)
        except RuntimeError:
            return  # the loop has ended
        try:
            loop.call_soon_threadsafe(on_end)
        except RuntimeError:
            return

    threading.Thread(target=read, name="lsp-read", daemon=True).start()


class StdoutWriter:
    """Writes whole messages in order, in a thread of its own. `write` never blocks; any thread may call it."""

    def __init__(self, stream: BinaryIO, on_broken: Callable[[], None] = lambda: None) -> None:
        """`on_broken` is called in the writer's thread when the client cannot be written to any more."""
        self._stream = stream
        self._on_broken = on_broken
        self._queue: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="lsp-write", daemon=True)
        self._thread.start()

    def write(self, data: bytes) -> None:
        """Queues a message."""
        self._queue.put(data)

    def close(self, timeout_s: float = 2.0) -> None:
        """Waits for what is queued, but not longer than a client that reads would need."""
        self._queue.put(_CLOSE)
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            while (data := self._queue.get()) != _CLOSE:
                self._stream.write(data)
                self._stream.flush()
        except (OSError, ValueError) as error:
            log.warning("cannot write to the client any more: %s", error)
            self._on_broken()
