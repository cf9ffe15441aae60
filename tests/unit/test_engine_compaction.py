"""Changes that are read by moving cells: what it costs, what the answer says of it, and when it is not done."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from random import Random

import pytest

from gemma_lsp.backends.fake import BOS, FakeBackend
from gemma_lsp.engine.core import Engine
from gemma_lsp.engine.messages import Cancel, Finished, Generate, Warm
from gemma_lsp.engine.snapshots import SnapshotStore
from gemma_lsp.kv.splice import BEHIND, LEAST
from tests.unit.test_engine_core import WAIT, Asker

CHUNKS = [f"b:def number_{n}(): return {n:>04} # some more\n" for n in range(20)]
CHANGED = [*CHUNKS[:3], CHUNKS[3].replace("some", "something"), *CHUNKS[4:]]


@pytest.fixture
def backend() -> FakeBackend:
    return FakeBackend(n_ctx=4096, script={"say:": "hello world"}, can_be_moved=True)


@pytest.fixture
def engine(backend: FakeBackend) -> Iterator[Engine]:
    engine = Engine(lambda progress: backend)
    engine.start()
    yield engine
    engine.close()


@pytest.fixture
def asker(engine: Engine) -> Asker:
    return Asker(engine)


def warm(asker: Asker, id_: str, parts: list[str], *, moves: bool = True) -> Finished:
    asker.ask(Warm(id=id_, workspace="w", prompt=asker.refs(*parts), moves=moves))
    done = asker.final(id_)
    assert isinstance(done, Finished)
    return done


def tried(backend: FakeBackend) -> None:
    """Waits until it is known that cells can be moved."""
    end = time.monotonic() + WAIT
    while not backend.can.shift:
        assert time.monotonic() < end
        time.sleep(0.001)


def cells_of(parts: list[str]) -> dict[int, tuple[int, str]]:
    """What a cold start holds."""
    cold = FakeBackend(n_ctx=4096)
    tokens = [BOS, *"".join(part[2:] for part in parts).encode()]
    for at, token in enumerate(tokens):
        cold.evaluate(0, at, [token], False, lambda: False)
    return cold.cells(0)


def test_a_change_costs_itself_and_is_read_exactly_later(asker: Asker, backend: FakeBackend) -> None:
    """The answer in between is computed on the new text, reuses everything and says that it is not exact."""
    first = warm(asker, "1", CHUNKS)
    assert first.cost.exact
    tried(backend)
    moved = warm(asker, "2", CHANGED)
    assert not moved.cost.exact
    assert moved.cost.evaluated <= len("something") + 16 + BEHIND
    asker.ask(Generate(id="3", workspace="w", prompt=asker.refs(*CHANGED, "r:say:")))
    answer = asker.final("3")
    assert isinstance(answer, Finished)
    assert (answer.text, answer.cost.evaluated, answer.cost.hidden, answer.cost.exact) == ("hello world", 4, 0, False)
    assert "".join(chr(t) for _, (t, _) in sorted(backend.cells(0).items())[1:]).startswith("def number_0")
    repaired = warm(asker, "4", CHANGED, moves=False)
    assert repaired.cost.exact
    assert repaired.cost.evaluated > LEAST
    assert backend.cells(0) == cells_of(CHANGED)


def test_what_is_resident_well_enough_is_not_read_again(asker: Asker, backend: FakeBackend) -> None:
    """Asked for once more it costs nothing, until exactness is asked for."""
    warm(asker, "1", CHUNKS)
    tried(backend)
    warm(asker, "2", CHANGED)
    again = warm(asker, "3", CHANGED)
    assert (again.cost.evaluated, again.cost.exact) == (0, False)
    added = warm(asker, "4", [*CHANGED, "b:# the end\n"])
    assert added.cost.evaluated == len("# the end\n")


def test_a_small_or_a_great_change_is_read_exactly(asker: Asker, backend: FakeBackend) -> None:
    """Moving cells is for what would otherwise take long, and is much cheaper."""
    warm(asker, "1", CHUNKS)
    tried(backend)
    other = [part.replace("number", "numeral").replace("more", "less") for part in CHUNKS]
    assert warm(asker, "2", other).cost.exact
    assert warm(asker, "3", [*other[:-2], "b:# changed near the end\n", *other[-2:]]).cost.exact


def test_a_shift_that_fails_is_made_good(asker: Asker, backend: FakeBackend) -> None:
    """Nothing is left of any trunk then, and the change is read as if nothing had been there."""
    warm(asker, "1", CHUNKS)
    tried(backend)
    backend.fail_shifts = 1
    done = warm(asker, "2", CHANGED)
    assert (done.reason, done.cost.exact) == ("done", True)
    assert backend.cells(0) == cells_of(CHANGED)


@pytest.mark.parametrize(("n_swa", "can_be_moved"), [(0, False), (32, True)], ids=["refused", "windowed"])
def test_where_cells_cannot_be_moved_everything_is_exact(n_swa: int, can_be_moved: bool) -> None:
    """It was tried, and is not done; nor is it where a window would be lost."""
    backend = FakeBackend(n_ctx=4096, n_swa=n_swa, can_be_moved=can_be_moved)
    engine = Engine(lambda progress: backend)
    engine.start()
    asker = Asker(engine)
    assert warm(asker, "1", CHUNKS).cost.exact
    done = warm(asker, "2", CHANGED)
    engine.close()
    assert done.cost.exact
    assert done.cost.evaluated > LEAST


def test_nothing_that_was_moved_is_written_to_disk(tmp_path, backend: FakeBackend) -> None:  # type: ignore[no-untyped-def]
    """A restart would call it exact."""
    engine = Engine(lambda progress: backend, lambda identity: SnapshotStore(tmp_path, identity, 1 << 30))
    engine.start()
    asker = Asker(engine)
    warm(asker, "1", CHUNKS)
    tried(backend)
    warm(asker, "2", CHANGED)
    engine.close()
    store = SnapshotStore(tmp_path, backend.identity, 1 << 30)
    found = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len({path.stem for path in found}) <= 1, (store, found)


@pytest.mark.parametrize("seed", range(6))
def test_whatever_comes_between_the_end_is_a_cold_start(asker: Asker, backend: FakeBackend, seed: int) -> None:
    """Edits, answers, cancels and failed shifts in any order: each request is answered, and a repair mends it all."""
    chance, body = Random(seed), list(CHUNKS)
    warm(asker, "start", body)
    tried(backend)
    asked: list[str] = []
    for n in range(14):
        at = chance.randrange(len(body))
        match chance.randrange(6):
            case 0 | 1:
                body[at] = body[at].replace("more", "much more")
            case 2:
                body.insert(at, f"b:# note {seed} {n}\n")
            case 3:
                body.pop(at)
            case 4:
                backend.fail_shifts = chance.randrange(2)
            case _:
                parts = [*body, "e:told\n"] if chance.random() < 0.5 else body
                request = Generate(id=f"g{n}", workspace="w", prompt=asker.refs(*parts, "r:say:"))
                asker.ask(request)
                asked.append(request.id)
        asker.ask(Warm(id=f"w{n}", workspace="w", prompt=asker.refs(*body), moves=chance.random() < 0.8))
        asked.append(f"w{n}")
        if chance.random() < 0.3:
            time.sleep(chance.random() * 0.01)
            asker.ask(Cancel(id=f"w{n}"))
        if chance.random() < 0.5:
            asker.final(f"w{n}")
    for id_ in asked:
        done = asker.final(id_)
        assert isinstance(done, Finished)
        assert not id_.startswith("g") or done.text == "hello world"
    backend.fail_shifts = 0
    assert warm(asker, "end", body, moves=False).cost.exact
    assert backend.cells(0) == cells_of(body)
    assert not [t for t in threading.enumerate() if t.name == "shifts" and t.is_alive()]


def test_one_can_ask_what_it_would_take(asker: Asker, backend: FakeBackend) -> None:
    """Nothing is done, for this workspace or another; and it comes true."""

    def reach(id_: str, parts: list[str], workspace: str = "w") -> Finished:
        asker.ask(Warm(id=id_, workspace=workspace, prompt=asker.refs(*parts), moves=True, dry=True))
        done = asker.final(id_)
        assert isinstance(done, Finished)
        assert done.reason == "planned"
        return done

    cold = reach("0", CHUNKS)
    assert (cold.cost.evaluated, cold.cost.exact) == (warm(asker, "1", CHUNKS).cost.evaluated, True)
    tried(backend)
    held = backend.cells(0)
    predicted = reach("2", CHANGED)
    assert not predicted.cost.exact
    assert reach("3", CHUNKS, "another").cost.evaluated == cold.cost.evaluated
    assert backend.cells(0) == held
    assert warm(asker, "4", CHANGED).cost.evaluated == predicted.cost.evaluated
