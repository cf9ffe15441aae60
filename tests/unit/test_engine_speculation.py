"""Guessed tokens change nothing but the number of batches: the same text, the same cache, an exact way back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemma_lsp.backends.fake import FakeBackend
from gemma_lsp.engine.core import Engine
from gemma_lsp.engine.lookup import Found
from gemma_lsp.engine.messages import Finished, Generate, Sampling, Warm
from gemma_lsp.engine.speculation import Speculation
from gemma_lsp.engine.trunk import Trunk
from gemma_lsp.kv.plan import Wanted
from tests.support.engines import Asker

REPEATED = "def area(width, height):\n    return width * height\n"
SCRIPT = {
    "say:": REPEATED + "def area(width, height):\n    return width + height\n",
    "other:": "qwertzuiopasdfgjklyxcvbnm",
}


class Counting(FakeBackend):
    """Counts batches."""

    def __init__(self, **options: object) -> None:
        super().__init__(n_ctx=2000, n_swa=24, script=SCRIPT, **options)  # type: ignore[arg-type]
        self.batches = 0

    def evaluate(self, seq, position, tokens, logits, abort):  # type: ignore[no-untyped-def]
        super().evaluate(seq, position, tokens, logits, abort)
        self.batches += 1


class Eager(Speculation):
    """Tries every guess: what it costs on a fake means nothing."""

    def worth(self, found: Found, room: int, streak: int = 0) -> tuple[int, ...]:
        return found.tokens[: max(0, room)]


def answer(backend: FakeBackend, prompt: str, monkeypatch: pytest.MonkeyPatch, **options: object) -> Finished:
    """One answer behind a body in which its text stands."""
    monkeypatch.setattr("gemma_lsp.engine.admission.Speculation", Eager)
    engine = Engine(lambda progress: backend)
    engine.start()
    asker = Asker(engine)
    try:
        asker.ask(Warm(id="w", workspace="w", prompt=asker.refs("b:" + REPEATED)))
        asker.final("w")
        backend.batches = 0  # type: ignore[attr-defined]
        refs = asker.refs("b:" + REPEATED, "r:" + prompt)
        asker.ask(Generate(id="1", workspace="w", prompt=refs, max_tokens=200, **options))  # type: ignore[arg-type]
        done = asker.final("1")
        assert isinstance(done, Finished)
        return done
    finally:
        engine.close()


@pytest.fixture
def backend() -> Counting:
    return Counting()


def test_code_that_stands_in_the_repository_takes_fewer_batches(
    backend: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text and why it ends are the same as one by one."""
    plain = answer(Counting(), "say:", monkeypatch, guess=False)
    done = answer(backend, "say:", monkeypatch)
    assert (done.text, done.reason) == (plain.text, plain.reason) == (SCRIPT["say:"], "eos")
    assert done.cost.generated == plain.cost.generated
    assert 0 < done.cost.guessed_right <= done.cost.guessed
    assert plain.cost.guessed == 0
    assert backend.batches < done.cost.generated / 3


def test_what_stands_nowhere_is_not_guessed(backend: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing to try."""
    done = answer(backend, "other:", monkeypatch)
    assert (done.text, done.cost.guessed) == (SCRIPT["other:"], 0)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"stop": ("\n",)}, "def area(width, height):"),
        ({"stop": ("ight",)}, "def area(width, he"),
        ({"stop": ("width * h",)}, "def area(width, height):\n    return "),
    ],
)
def test_an_answer_ends_where_it_would(
    backend: Counting, monkeypatch: pytest.MonkeyPatch, options: dict[str, object], text: str
) -> None:
    """A stop string among the guesses ends the answer there."""
    done = answer(backend, "say:", monkeypatch, **options)
    assert (done.text, done.reason) == (text, "stop")


@pytest.mark.parametrize("n", [1, 2, 5, 9, 17, 40])
def test_an_answer_is_never_longer_than_asked_for(monkeypatch: pytest.MonkeyPatch, n: int) -> None:
    """Guesses do not run over the limit."""
    backend = Counting()
    monkeypatch.setattr("gemma_lsp.engine.admission.Speculation", Eager)
    engine = Engine(lambda progress: backend)
    engine.start()
    asker = Asker(engine)
    refs = asker.refs("b:" + REPEATED, "r:say:")
    asker.ask(Generate(id="1", workspace="w", prompt=refs, max_tokens=n))
    done = asker.final("1")
    engine.close()
    assert isinstance(done, Finished)
    assert done.text == SCRIPT["say:"][:n]
    assert done.cost.generated == n


@pytest.mark.parametrize("sampling", [Sampling(temperature=0.5), Sampling(repeat_penalty=1.1), Sampling(grammar="x")])
def test_only_the_most_probable_token_is_guessed(
    backend: Counting, monkeypatch: pytest.MonkeyPatch, sampling: Sampling
) -> None:
    """Where a token is drawn, punished or confined, there is nothing to compare a guess with."""
    assert answer(backend, "say:", monkeypatch, sampling=sampling).cost.guessed == 0


def _never() -> bool:
    return False


@settings(max_examples=60, deadline=None)
@given(
    n_swa=st.sampled_from([0, 4, 24]),
    rounds=st.lists(st.tuples(st.integers(1, 8), st.integers(0, 8)), min_size=1, max_size=12),
    body=st.integers(1, 60),
)
def test_taken_back_guesses_leave_the_cache_as_if_they_had_not_been(
    n_swa: int, rounds: list[tuple[int, int]], body: int
) -> None:
    """Content and sliding window of every cell that is left are those of a cache without guesses."""
    guessing, plain = (FakeBackend(n_ctx=4000, n_swa=n_swa, n_slice=64) for _ in range(2))
    trunks = [Trunk(backend, 0, 1, 2) for backend in (guessing, plain)]
    prompt = Wanted("p", "request", list(range(body)))
    for trunk in trunks:
        trunk.evaluate_parts([(prompt, 0, prompt.tokens)], prompt.tokens, ends=(0, 0), logits=True, abort=_never)
    said: list[int] = []
    for n, kept in rounds:
        tokens = [65 + (len(said) + i) % 26 for i in range(n)]
        keep = 1 + min(kept, n - 1)
        base = len(trunks[0].ledger)
        part = (Wanted("", "answer", [*said, *tokens]), len(said), tokens)
        assert len(trunks[0].verify(part, ends=(0, 0), abort=_never)) == n
        trunks[0].take_back(base + keep)
        assert len(trunks[0].ledger) == base + keep
        for i in range(keep):
            one = tokens[i : i + 1]
            answered = Wanted("", "answer", [*said, *tokens])
            where = [(answered, len(said) + i, one)]
            trunks[1].evaluate_parts(where, one, ends=(0, 0), logits=True, abort=_never)
        said += tokens[:keep]
    assert guessing.cells(0) == plain.cells(0)
    end = len(trunks[0].ledger)
    window = set(range(max(0, end - n_swa + 1), end)) if n_swa else set()
    assert window <= guessing.sliding(0)
    assert list(trunks[0].ledger.tokens) == list(trunks[1].ledger.tokens)
    assert [(r.region, r.start, r.stop) for r in trunks[0].ledger.runs] == [
        (r.region, r.start, r.stop) for r in trunks[1].ledger.runs
    ]
    assert len(trunks[0].lookup) == end
