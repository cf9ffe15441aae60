"""Framing: what is a message in a stream of bytes, and what happens when nobody reads any more."""

from __future__ import annotations

import asyncio
import io
import os
import sys
import threading

import psutil
import pytest

from gemma_lsp.server.run import _lives
from gemma_lsp.server.stdio import MAX_BODY, StdoutWriter, frame, read_frame

ONE, TWO = b'{"a": 1}', b'{"b": "\xc3\xa9"}'


def frames(data: bytes) -> list[bytes]:
    """Every message of a stream."""
    stream = io.BytesIO(data)
    return list(iter(lambda: read_frame(stream), None))


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (frame(ONE) + frame(TWO), [ONE, TWO]),
        (b"\r\n\n" + frame(ONE) + b"\r\n" + frame(TWO), [ONE, TWO]),
        (b"content-LENGTH :8 \nX: y\n\n" + ONE + frame(TWO), [ONE, TWO]),
        (b"", []),
        (frame(ONE)[:-1], []),
        (b"Content-Length: 8\r\n", []),
    ],
)
def test_messages_are_cut_out_of_the_stream(data: bytes, found: list[bytes]) -> None:
    """By their length alone; one that is cut off by the end of the stream is none."""
    assert frames(data) == found


@pytest.mark.parametrize(
    "header", [b"No-Length: 8", b"Content-Length: many", b"Content-Length: -8", b"Content-Length: %d" % (MAX_BODY + 1)]
)
@pytest.mark.parametrize("body", [ONE, b"", b"{%s}" % (b"x" * 10_000), b"\n\r\n".join([ONE] * 3)])
def test_what_stands_behind_a_bad_header_is_found_again(header: bytes, body: bytes) -> None:
    """However long its own body is; the messages behind it are whole."""
    got = frames(header + b"\r\n\r\n" + body + frame(ONE) + frame(TWO))
    assert got[0] == b""
    assert got[-2:] == [ONE, TWO]


def test_a_client_that_does_not_read_is_noticed() -> None:
    """At the first message that cannot be written; those behind it are dropped."""
    read, write = os.pipe()
    os.close(read)
    broken = threading.Event()
    writer = StdoutWriter(os.fdopen(write, "wb", buffering=0), broken.set)
    writer.write(frame(ONE))
    assert broken.wait(20)
    writer.write(frame(TWO))
    writer.close()


async def test_a_process_lives_until_it_has_ended() -> None:
    """Ourselves, a child that runs, the same as a zombie, and no process at all."""
    assert _lives(os.getpid())
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=-1)
    assert _lives(child.pid)
    child.kill()
    await child.wait()
    assert not _lives(child.pid)
    assert not _lives(2**40)
    assert not _lives(-1)


@pytest.mark.parametrize(
    ("state", "lives"), [(psutil.STATUS_ZOMBIE, False), (psutil.STATUS_SLEEPING, True), (psutil.STATUS_RUNNING, True)]
)
def test_a_zombie_has_ended(monkeypatch: pytest.MonkeyPatch, state: str, lives: bool) -> None:
    """Nobody may ever ask for its exit code: in a container without an init process it stays for good."""
    monkeypatch.setattr(psutil.Process, "status", lambda self: state)
    assert _lives(os.getpid()) is lives
