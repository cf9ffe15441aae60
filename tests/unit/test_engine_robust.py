"""What must not end an engine, lose a cancel or garble an answer: refusing disks, slow tokenising, late listeners."""

from __future__ import annotations

import asyncio
import threading
import time
from array import array
from collections.abc import Iterator
from pathlib import Path

import pytest

from gemma_lsp.backends.fake import FakeBackend
from gemma_lsp.engine import audience
from gemma_lsp.engine.asking import LocalClient
from gemma_lsp.engine.audience import Audience, Listener
from gemma_lsp.engine.core import Engine
from gemma_lsp.engine.messages import (
    Cancel,
    Cost,
    Count,
    Counted,
    Delta,
    Event,
    Failed,
    Finished,
    LoadFailed,
    NeedTexts,
    SegmentRef,
    Warm,
)
from gemma_lsp.engine.process import serve
from gemma_lsp.engine.snapshots import SnapshotStore
from gemma_lsp.engine.spec import Address
from gemma_lsp.engine.texts import TextGone, TokenStore
from gemma_lsp.prompt.segments import Region, Segment
from tests.support.engines import WAIT, Asker, Gate, generate

BODY = "b:" + "x" * 300


class Slow(Gate):
    """Tokenises long texts when the test says."""

    def __init__(self) -> None:
        super().__init__(n_ctx=4096, script={"say:": "hello world"})
        self.tokenising, self.may_go = threading.Event(), threading.Event()
        self.may_go.set()

    def tokenize(self, text: str, special: bool) -> list[int]:
        if len(text) >= 300:
            self.tokenising.set()
            assert self.may_go.wait(WAIT)
        return super().tokenize(text, special)


@pytest.fixture
def backend() -> Slow:
    return Slow()


@pytest.fixture
def engine(backend: Slow) -> Iterator[Engine]:
    engine = Engine(lambda progress: backend)
    engine.start()
    yield engine
    backend.may_go.set()
    backend.open.set()
    engine.close()


@pytest.fixture
def asker(engine: Engine) -> Asker:
    return Asker(engine)


def finished(asker: Asker, id_: str) -> Finished:
    done = asker.final(id_)
    assert isinstance(done, Finished), done
    return done


# -- disks ---------------------------------------------------------------------------------------------------------


class Refusing(SnapshotStore):
    """A folder that somebody else owns."""

    def known(self, *args: object) -> bool:
        raise PermissionError("the folder is somebody else's")


def test_a_disk_that_refuses_costs_the_snapshot_and_nothing_else(tmp_path: Path) -> None:
    """The next request is answered."""
    engine = Engine(lambda progress: Gate(n_ctx=4096), lambda identity: Refusing(tmp_path, identity, 1 << 30))
    engine.start()
    asker = Asker(engine)
    asker.ask(Warm(id="1", workspace="w", prompt=asker.refs("b:" + "x" * 2000)))
    assert finished(asker, "1").reason == "done"
    asker.ask(Warm(id="2", workspace="w", prompt=asker.refs("b:" + "x" * 2000)))
    assert finished(asker, "2").cost.evaluated == 0
    engine.close()


def test_what_is_too_large_for_the_disk_is_not_copied_first(tmp_path: Path) -> None:
    """A large model's state is gigabytes."""

    class Counted(Gate):
        saved = 0

        def save(self, seq: int) -> bytes | memoryview:
            self.saved += 1
            return super().save(seq)

        def size(self, seq: int) -> int:
            return 5000

    backend = Counted(n_ctx=4096)
    engine = Engine(lambda progress: backend, lambda identity: SnapshotStore(tmp_path, identity, 4999))
    engine.start()
    asker = Asker(engine)
    asker.ask(Warm(id="1", workspace="w", prompt=asker.refs("b:" + "x" * 2000)))
    finished(asker, "1")
    engine.close()
    assert backend.saved == 0


# -- a thread that fails -------------------------------------------------------------------------------------------


def broken(*args: object) -> None:
    raise RuntimeError("a fault of ours")


def test_an_engine_whose_thread_fails_answers_everyone_and_says_so(
    engine: Engine, asker: Asker, backend: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits is answered, what comes later too, and a new client is not told that it is ready."""
    monkeypatch.setattr(Engine, "_try_shifts", broken)
    backend.open.clear()
    asker.ask(Warm(id="1", workspace="w", prompt=asker.refs("b:some body")))
    assert backend.entered.wait(WAIT)
    asker.ask(Warm(id="2", workspace="other", prompt=asker.refs("b:another body")))
    backend.open.set()
    finished(asker, "1")
    assert isinstance(asker.final("2"), Failed)
    asker.ask(generate(asker, "3", "r:say:"))
    assert isinstance(asker.final("3"), Failed)
    assert engine.dead
    told: list[Event] = []
    engine.watch(told.append)
    assert [type(event) for event in told] == [LoadFailed]


def test_an_engine_whose_thread_fails_answers_who_was_asked_for_texts(
    engine: Engine, asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They come too late: nobody is there to take them."""
    monkeypatch.setattr(Engine, "_try_shifts", broken)
    asked: list[Event] = []
    engine.submit(Warm(id="1", workspace="w", prompt=asker.refs("b:never sent")), asked.append)
    asker.ask(Warm(id="2", workspace="other", prompt=asker.refs("b:some body")))
    finished(asker, "2")
    engine._thread.join(WAIT)
    assert [type(event) for event in asked if not isinstance(event, NeedTexts)] == [Failed]


def pushed_out(asker: Asker, backend: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long text that is being tokenised, and whose tokens will be pushed out as soon as that is done."""
    real = TokenStore.tokens

    def forgetful(self: TokenStore, ref: SegmentRef, texts: dict[str, str]) -> array[int]:
        found = real(self, ref, texts)
        if len(found) >= 300:
            raise TextGone(ref.key)
        return found

    monkeypatch.setattr(TokenStore, "tokens", forgetful)
    backend.may_go.clear()
    asker.ask(Warm(id="1", workspace="w", prompt=asker.refs(BODY)))
    assert backend.tokenising.wait(WAIT)


def test_what_an_engine_that_stops_would_tokenise_again_is_answered(
    engine: Engine, asker: Asker, backend: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tokens are pushed out in that moment, and its thread takes nothing any more."""
    pushed_out(asker, backend, monkeypatch)
    closing = threading.Thread(target=engine.close)
    closing.start()
    while not engine._admission._vocabulary._shutdown:
        time.sleep(0.001)
    backend.may_go.set()
    closing.join(WAIT)
    assert isinstance(asker.final("1"), Failed)


async def test_the_process_of_an_engine_that_failed_ends(
    tmp_path: Path, backend: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the next client starts another."""
    monkeypatch.setattr(Engine, "_try_shifts", broken)
    engine = Engine(lambda progress: backend)
    address = Address(tmp_path, "e")
    serving = asyncio.create_task(serve(engine, address, idle_exit_s=600))
    asker = Asker(engine)
    asker.ask(Warm(id="1", workspace="w", prompt=asker.refs("b:some body")))
    async with asyncio.timeout(WAIT):
        await serving


# -- tokenising ----------------------------------------------------------------------------------------------------


def test_a_cancel_while_its_text_is_tokenised_is_not_lost(asker: Asker, backend: Slow) -> None:
    """Nothing is evaluated for nobody."""
    backend.may_go.clear()
    asker.ask(Warm(id="1", workspace="w", prompt=asker.refs(BODY)))
    assert backend.tokenising.wait(WAIT)
    asker.ask(Cancel(id="1"))
    backend.may_go.set()
    assert finished(asker, "1").reason == "cancelled"
    asker.ask(generate(asker, "2", "r:say:"))
    finished(asker, "2")
    assert backend.evaluated < 100


def test_an_older_request_is_superseded_while_it_waits_for_the_tokeniser(asker: Asker, backend: Slow) -> None:
    """It stands in the queue behind a large text."""
    backend.may_go.clear()
    asker.ask(Count(id="0", segments=asker.refs(BODY)))
    assert backend.tokenising.wait(WAIT)
    asker.ask(generate(asker, "old", "h:a", "r:say:", supersedes="inline"))
    asker.ask(generate(asker, "new", "h:ab", "r:say:", supersedes="inline"))
    backend.may_go.set()
    assert (finished(asker, "old").reason, finished(asker, "new").text) == ("superseded", "hello world")
    assert isinstance(asker.final("0"), Counted)


def test_tokens_that_were_pushed_out_in_between_are_asked_for_again(
    engine: Engine, asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request whose own texts do not all stay is answered all the same."""
    asker.ask(generate(asker, "1", "b:first", "r:say:"))
    finished(asker, "1")
    looked, real = [0], TokenStore.missing

    def once_blind(self: TokenStore, refs: object, texts: object) -> tuple[str, ...]:
        looked[0] += 1
        if looked[0] == 1:
            self._tokens.clear()  # as if others had pushed them out right after the look
            return ()
        return real(self, refs, texts)  # type: ignore[arg-type]

    monkeypatch.setattr(TokenStore, "missing", once_blind)
    asker.ask(generate(asker, "2", "b:first", "r:say:"))
    assert finished(asker, "2").text == "hello world"


def test_a_request_that_nobody_wants_any_more_is_not_asked_about_again(
    asker: Asker, backend: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tokens were pushed out while it was being tokenised; whoever cancelled it would never send its text."""
    pushed_out(asker, backend, monkeypatch)
    asker.texts = {}
    asker.ask(Cancel(id="1"))
    backend.may_go.set()
    assert finished(asker, "1").reason == "cancelled"


def test_what_is_asked_for_is_the_last_to_be_pushed_out() -> None:
    """Looking for a segment counts as using it."""
    store = TokenStore(lambda text, special: [1] * len(text), max_tokens=8)
    asker = Asker.__new__(Asker)
    asker.texts = {}
    one, two, three = Asker.refs(asker, "b:1111", "b:2222", "b:3333")
    store.tokens(one, asker.texts)
    store.tokens(two, asker.texts)
    store.missing((one,), {})
    store.tokens(three, asker.texts)
    assert store.missing((one, two, three), {}) == (two.key,)


# -- listeners -----------------------------------------------------------------------------------------------------


def test_whoever_joins_in_the_middle_hears_everything_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Joining comes from another thread than the text."""
    monkeypatch.setattr(audience, "DELTA_S", 0.0)
    for _ in range(200):
        heard = {"a": "", "b": ""}

        def reply(event: Event, heard: dict[str, str] = heard) -> None:
            if isinstance(event, Delta):
                before = heard[event.id]
                time.sleep(0)  # lets the other thread in
                heard[event.id] = before + event.text

        shared = Audience(Listener("a", reply), ())
        late = threading.Thread(target=shared.attach, args=(Listener("b", reply),))
        for n in range(30):
            if n == 3:
                late.start()
            shared.write(b"%d," % n)
        late.join()
        shared.finish("stop", Cost(), 1.0)
        whole = "".join(f"{n}," for n in range(30))
        assert heard == {"a": whole, "b": whole}


# -- asking what it would take -------------------------------------------------------------------------------------


class Turnstile(FakeBackend):
    """A fake whose batches each wait for a ticket."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self.tickets = threading.Semaphore(0)
        self.entered = threading.Event()

    def evaluate(self, seq, position, tokens, logits, abort):  # type: ignore[no-untyped-def]
        self.entered.set()
        assert self.tickets.acquire(timeout=WAIT)
        super().evaluate(seq, position, tokens, logits, abort)


async def test_who_asks_what_it_would_take_does_not_wait_for_anothers_reading() -> None:
    """It computes nothing; the other folder's repository may take minutes."""
    backend = Turnstile(n_ctx=4096, n_trunks=2)
    engine = Engine(lambda progress: backend)
    engine.start()
    client = LocalClient(engine)
    long = (Segment(Region.BODY, "x" * 2000),)
    reading = asyncio.create_task(client.warm("other", long, lambda progress: None))
    assert await asyncio.to_thread(backend.entered.wait, WAIT)
    asking = asyncio.create_task(client.reach("w", (Segment(Region.BODY, "y" * 20),)))
    while (await client.status()).queued < 2:
        await asyncio.sleep(0.001)
    backend.tickets.release(2)
    async with asyncio.timeout(WAIT):
        assert (await asking).evaluated == 21
    assert not reading.done()
    backend.tickets.release(1000)
    await reading
    await client.close()
