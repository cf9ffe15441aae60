"""Frames on the wire, and a writer that never holds anybody up."""

from __future__ import annotations

import io
import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemma_lsp.server.stdio import StdoutWriter, frame, read_frame


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=5))
def test_frames_survive_the_wire(bodies: list[bytes]) -> None:
    """Whatever is in them, one after the other, and then the end."""
    stream = io.BytesIO(b"".join(frame(body) for body in bodies))
    assert [read_frame(stream) for _ in bodies] == bodies
    assert read_frame(stream) is None


@pytest.mark.parametrize(
    ("data", "first"),
    [
        (b"", None),
        (b"Content-Length: 5\r\n\r\nabc", None),
        (b"Content-Length: 5", None),
        (b"Content-Type: x\r\n\r\n", b""),
        (b"Content-Length: -1\r\n\r\n", b""),
        (b"Content-Length: 999999999999\r\n\r\n", b""),
        (b"Content-Length: 1\n\nx", b"x"),
        (b"CONTENT-LENGTH :2\r\nX: y\r\n\r\nab", b"ab"),
    ],
)
def test_odd_frames(data: bytes, first: bytes | None) -> None:
    """The end in the middle of a message is the end; a header without a length is skipped."""
    assert read_frame(io.BytesIO(data)) == first


def test_a_client_that_does_not_read_holds_nobody_up() -> None:
    """More than a pipe holds is taken at once, and arrives in order once somebody reads."""
    read_end, write_end = os.pipe()
    writer = StdoutWriter(os.fdopen(write_end, "wb"))
    messages = [bytes([n]) * 100_000 for n in range(1, 6)]
    for message in messages:
        writer.write(message)
    received: list[bytes] = []

    def read() -> None:
        with os.fdopen(read_end, "rb") as stream:
            received.append(stream.read(500_000))

    reader = threading.Thread(target=read)
    reader.start()
    writer.close(20)
    reader.join(20)
    assert received == [b"".join(messages)]


def test_a_client_that_is_gone_is_no_error() -> None:
    """What is written to it is lost, and closing does not hang."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    writer = StdoutWriter(os.fdopen(write_end, "wb"))
    for _ in range(3):
        writer.write(b"x" * 10)
    writer.close(20)
    assert not writer._thread.is_alive()
