"""The socket between server and engine: frames, two clients, a client that dies, an idle engine that goes."""

from __future__ import annotations

import asyncio
import stat
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemma_lsp.backends.fake import FakeBackend
from gemma_lsp.base.errors import EngineError, EngineUnavailable, PromptTooLong
from gemma_lsp.engine import process
from gemma_lsp.engine.asking import AskingClient
from gemma_lsp.engine.client import GenerateOptions
from gemma_lsp.engine.connect import SocketClient
from gemma_lsp.engine.core import Engine
from gemma_lsp.engine.messages import Cost, Delta, Finished, Generate, Progress, SegmentRef
from gemma_lsp.engine.spec import Address, EngineSpec, only_one
from gemma_lsp.engine.wire import HEADER, decode, encode
from gemma_lsp.prompt.segments import Region, Segment

BODY = (Segment(Region.BODY, "def f():\n    return 1\n"),)
ASK = (*BODY, Segment(Region.REQUEST, "say:"))


@dataclass
class Host:
    """A served engine over the fake."""

    engine: Engine
    address: Address
    task: asyncio.Task[None]


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    backend = FakeBackend(n_ctx=300, script={"say:": "héllo 🙂", "long:": "x" * 60})
    engine = Engine(lambda progress: backend)
    address = Address(tmp_path, "e")
    task = asyncio.create_task(process.serve(engine, address, idle_exit_s=0.5))
    yield Host(engine, address, task)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def connected(host: Host) -> SocketClient:
    client = SocketClient.__new__(SocketClient)
    AskingClient.__init__(client)
    client._spec, client._address = EngineSpec(model="fake.gguf"), host.address
    client._writer, client._task, client._closing = None, None, False
    client._starts = [time.monotonic()] * 3
    for _ in range(200):
        if host.address.socket.exists() or host.address.port_file.exists():
            break
        await asyncio.sleep(0.01)
    await client.connect()
    return client


async def say(client: AskingClient, *, text: str = "say:", max_tokens: int = 64) -> tuple[str, Finished]:
    prompt = (*BODY, Segment(Region.REQUEST, text))
    pieces, done = "", None
    async for event in client.generate("w", prompt, GenerateOptions(max_tokens=max_tokens)):
        if isinstance(event, Delta):
            pieces += event.text
        else:
            done = event
    assert done
    return pieces, done


async def test_a_round_trip_keeps_every_code_point(host: Host) -> None:
    """Texts go up once, deltas come down, costs arrive."""
    client = await connected(host)
    assert (await client.ready()).name == "fake"
    pieces, done = await say(client)
    assert pieces == done.text == "héllo 🙂"
    assert done.cost.evaluated == done.cost.prompt
    await client.close()


async def test_two_clients_have_their_own_ids(host: Host) -> None:
    """Both count from 1 and each gets its own answer."""
    one, two = await connected(host), await connected(host)
    answers = await asyncio.gather(say(one), say(two, text="long:"))
    assert [a[0] for a in answers] == ["héllo 🙂", "x" * 60]
    await one.close()
    await two.close()


async def test_warm_reports_and_count_counts(host: Host) -> None:
    """The whole protocol crosses the socket."""
    client = await connected(host)
    seen: list[Progress] = []
    done = await client.warm("w", BODY, seen.append)
    assert (done.reason, seen[-1].done) == ("done", seen[-1].total)
    assert await client.count(ASK) == [22, 4]
    assert (await client.status()).resident == {"w": 23}
    await client.close()


async def test_errors_arrive_as_the_same_class(host: Host) -> None:
    """A prompt that cannot fit raises PromptTooLong on the asking side."""
    client = await connected(host)
    with pytest.raises(PromptTooLong, match=r"index\.budget_tokens"):
        await say(client, max_tokens=5000)
    await client.close()


async def test_a_cancelled_task_frees_the_engine(host: Host) -> None:
    """Cancelling the asking task cancels the request, and the next one is answered."""
    client = await connected(host)
    await client.ready()
    task = asyncio.create_task(say(client, text="long:"))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (await say(client))[0] == "héllo 🙂"
    await client.close()


async def _ask_until_lost(client: AskingClient) -> None:
    while True:
        await say(client)


async def test_losing_the_engine_fails_what_waits(host: Host) -> None:
    """Whoever waits is told what happened; nobody waits for ever."""
    client = await connected(host)
    await client.ready()
    host.task.cancel()
    await asyncio.gather(host.task, return_exceptions=True)
    with pytest.raises(EngineUnavailable):
        await asyncio.wait_for(_ask_until_lost(client), timeout=20)
    await client.close()


async def test_an_engine_that_will_not_come_back_is_an_error(host: Host) -> None:
    """Once the client has given up starting engines, nobody waits for the model in vain."""
    client = await connected(host)  # it has used up its starts
    await client.ready()
    host.task.cancel()
    await asyncio.gather(host.task, return_exceptions=True)
    with pytest.raises(EngineUnavailable):
        await asyncio.wait_for(_ready_for_ever(client), timeout=20)
    await client.close()


async def _ready_for_ever(client: AskingClient) -> None:
    while True:
        await client.ready()
        await asyncio.sleep(0)


async def test_an_idle_engine_goes(host: Host) -> None:
    """Without clients the process ends by itself and removes its socket."""
    client = await connected(host)
    await client.ready()
    await client.close()
    await asyncio.wait_for(host.task, timeout=20)
    assert not host.address.socket.exists()


async def test_only_its_user_may_connect(host: Host) -> None:
    """The socket has no permissions for others."""
    client = await connected(host)
    if host.address.socket.exists():
        assert stat.S_IMODE(host.address.socket.stat().st_mode) & 0o077 == 0
    await client.close()


def test_the_lock_is_exclusive(tmp_path: Path) -> None:
    """A second engine of the same kind sees that it is not wanted."""
    address = Address(tmp_path, "e")
    with only_one(address) as first, only_one(address) as second:
        assert (first, second) == (True, False)
    with only_one(address) as again:
        assert again


@given(text=st.text(), key=st.text("0123456789abcdef", min_size=1))
def test_frames_round_trip(text: str, key: str) -> None:
    """Any text survives encoding, and the length is the body's."""
    for message in (
        Finished(id="1", text=text, reason="eos", cost=Cost(prompt=3, evaluated_by_region={"body": 2})),
        Generate(id="2", workspace=text, prompt=(SegmentRef(key, "body", False),), stop=(text,)),
    ):
        frame = encode(message)
        (size,) = HEADER.unpack(frame[: HEADER.size])
        assert size == len(frame) - HEADER.size
        assert decode(frame[HEADER.size :]) == message


@given(st.binary(max_size=200))
def test_damaged_frames_are_one_error(body: bytes) -> None:
    """Nothing but EngineError comes out of decoding garbage."""
    with pytest.raises(EngineError):
        decode(body)
