"""Changes that are read by moving cells: what it costs, what the answer says of it, and when it is not done."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from random import Random

import pytest

from gemma_lsp.backends.fake import BOS, FakeBackend
from gemma_lsp.engine.audience import Listener
from gemma_lsp.engine.core import Engine
from gemma_lsp.engine.messages import Cancel, Finished, Generate, Warm
from gemma_lsp.engine.moves import TIMES
from gemma_lsp.engine.run import Run
from gemma_lsp.engine.snapshots import SnapshotStore
from gemma_lsp.engine.trunks import Trunks
from gemma_lsp.kv.plan import Capabilities, Wanted
from gemma_lsp.kv.splice import BEFORE, BEHIND, LEAST
from tests.support.engines import WAIT, Asker

CHUNKS = [f"b:def number_{n}(): return {n:>04} # some more\n" for n in range(20)]
WINDOW = 96  # wider than what is read again before a change
CHANGED = [*CHUNKS[:3], CHUNKS[3].replace("some", "something"), *CHUNKS[4:]]


@pytest.fixture(params=[0, WINDOW], ids=["plain", "windowed"])
def backend(request: pytest.FixtureRequest) -> FakeBackend:
    return FakeBackend(n_ctx=4096, n_swa=request.param, n_slice=64, script={"say:": "hello world"}, can_be_moved=True)


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


def cells_of(parts: list[str], n_swa: int) -> dict[int, tuple[int, bytes]]:
    """What a cold start holds."""
    cold = FakeBackend(n_ctx=4096, n_swa=n_swa)
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
    assert moved.cost.evaluated <= len("something") + 16 + BEHIND + (BEFORE if backend.info.n_swa else 0)
    assert moved.cost.reused + moved.cost.evaluated == moved.cost.prompt
    asker.ask(Generate(id="3", workspace="w", prompt=asker.refs(*CHANGED, "r:say:")))
    answer = asker.final("3")
    assert isinstance(answer, Finished)
    assert (answer.text, answer.cost.evaluated, answer.cost.hidden, answer.cost.exact) == ("hello world", 4, 0, False)
    assert "".join(chr(t) for _, (t, _) in sorted(backend.cells(0).items())[1:]).startswith("def number_0")
    repaired = warm(asker, "4", CHANGED, moves=False)
    assert repaired.cost.exact
    assert repaired.cost.evaluated > LEAST
    assert backend.cells(0) == cells_of(CHANGED, backend.info.n_swa)


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
    near = warm(asker, "3", [*other[:-2], "b:# changed near the end\n", *other[-2:]])
    assert near.cost.exact == (not backend.info.n_swa)  # where the window before it is lost, that is everything


def test_a_shift_that_fails_is_made_good(asker: Asker, backend: FakeBackend) -> None:
    """Nothing is left of any trunk then, and the change is read as if nothing had been there."""
    warm(asker, "1", CHUNKS)
    tried(backend)
    backend.fail_shifts = 1
    done = warm(asker, "2", CHANGED)
    assert (done.reason, done.cost.exact) == ("done", True)
    assert backend.cells(0) == cells_of(CHANGED, backend.info.n_swa)


def test_where_cells_cannot_be_moved_everything_is_exact() -> None:
    """It was tried, and is not done."""
    backend = FakeBackend(n_ctx=4096, can_be_moved=False)
    engine = Engine(lambda progress: backend)
    engine.start()
    asker = Asker(engine)
    assert warm(asker, "1", CHUNKS).cost.exact
    done = warm(asker, "2", CHANGED)
    engine.close()
    assert done.cost.exact
    assert done.cost.evaluated > LEAST


def test_windows_are_read_one_after_another_so_that_there_is_room_for_one() -> None:
    """What a splice reads for its window is gone before the next one begins."""
    backend = FakeBackend(n_ctx=3000, n_swa=WINDOW, n_slice=64, can_be_moved=True)
    engine = Engine(lambda progress: backend)
    engine.start()
    asker = Asker(engine)
    body = [f"b:def number_{n}(): return {n:>04} # some more\n" for n in range(60)]
    warm(asker, "1", body)
    tried(backend)
    changed = [part.replace("some", "something") if n % 6 == 0 else part for n, part in enumerate(body[:48])]
    done = warm(asker, "2", [*changed, *body[48:]])
    engine.close()
    assert not done.cost.exact
    assert done.cost.prompt + done.cost.evaluated > backend.info.n_ctx


@pytest.mark.parametrize("n_swa", [0, WINDOW])
@pytest.mark.parametrize("interruptions", [1, 100])
def test_what_comes_between_has_it_planned_anew_and_the_cost_adds_up(n_swa: int, interruptions: int) -> None:
    """Again and again it is read exactly in the end; what was evaluated in vain is not called reused either."""
    backend = FakeBackend(n_ctx=4096, n_swa=n_swa, n_slice=64, can=Capabilities(shift=True))
    trunks = Trunks(backend, None)
    body = [f"b:def number_{n}(): return {n:>04} # some more\n" for n in range(60)]
    changed = [part.replace("some", "something") if n % 6 == 4 else part for n, part in enumerate(body)]

    def run_of(request: Generate | Warm, parts: list[str]) -> Run:
        wanted = [Wanted(part, "request" if part[0] == "r" else "body", part[2:].encode()) for part in parts]
        return Run(request, Listener("", lambda event: None), wanted, backend)

    def carried_out(run: Run, left: int) -> Run:
        while not run.step(trunks.for_run(run), lambda: False):
            if run.moves.pending and left:
                left -= 1
                question = Generate(id="", workspace="w", prompt=(), max_tokens=0)
                carried_out(run_of(question, [*body, f"r:{left}"]), 0)
        run.finish("done")
        return run

    carried_out(run_of(Warm(id="", workspace="w", prompt=(), moves=True), body), 0)
    run = carried_out(run_of(Warm(id="", workspace="w", prompt=(), moves=True), changed), interruptions)
    trunks.close()
    assert run.spent.exact == (interruptions > TIMES)
    evaluated = sum(run.spent.by_region.values())
    assert run.spent.reused + evaluated == max(run.n_prompt, evaluated)


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
    assert backend.cells(0) == cells_of(body, backend.info.n_swa)
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
