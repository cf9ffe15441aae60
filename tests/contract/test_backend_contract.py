"""One suite for the fake and for llama.cpp: what the engine relies on, tried call by call.

The llama.cpp half runs on the default model (Gemma 3 270M, a windowed cache); equality is asked of the same slices.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gemma_lsp.backends.fake import FakeBackend
from gemma_lsp.backends.llama import LlamaBackend, LlamaOptions, library, probe
from gemma_lsp.backends.llama.probe import can_shift
from gemma_lsp.base.errors import EngineError
from gemma_lsp.engine.backend import Aborted, Backend, ShiftFailed
from gemma_lsp.engine.messages import Sampling
from gemma_lsp.kv.plan import Capabilities
from gemma_lsp.models.default_model import default_model

TEXT = "def add(a, b):\n    return a + b\n\n\ndef sub(a, b):\n    return a - b\n\n\ndef mul(a, b):\n    return"


def never() -> bool:
    return False


@pytest.fixture(scope="module")
def llama() -> Iterator[LlamaBackend]:
    backend = LlamaBackend(LlamaOptions(path=str(default_model()), n_ctx=4096, n_batch=128))
    backend.try_shifts()
    yield backend
    backend.close()


@pytest.fixture(params=["fake", "llama"])
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    if request.param == "fake":
        yield FakeBackend(n_swa=128, n_slice=128, n_ctx=4096, can=Capabilities(shift=True))
        return
    real: LlamaBackend = request.getfixturevalue("llama")
    yield real
    for seq in range(real.n_seq):
        real.remove(seq, -1, -1)


def prompt(backend: Backend, text: str = TEXT) -> list[int]:
    head = [] if backend.bos is None else [backend.bos]
    return [*head, *backend.tokenize(text, False)]


def feed(backend: Backend, seq: int, tokens: list[int], start: int = 0, size: int = 64) -> None:
    for at in range(0, len(tokens), size):
        part = tokens[at : at + size]
        backend.evaluate(seq, start + at, part, at + size >= len(tokens), never)


def answer(backend: Backend, seq: int, end: int, n: int = 6) -> list[int]:
    """Greedy tokens after what was fed; the sequence is rewound to `end` afterwards."""
    sampler, out = backend.sampler(Sampling(), []), []
    for i in range(n):
        out.append(sampler.sample(None))
        if backend.is_end(out[-1]):
            break
        backend.evaluate(seq, end + i, [out[-1]], True, never)
    sampler.close()
    backend.remove(seq, end, -1)
    return out


def test_text_survives_tokenisation(backend: Backend) -> None:
    """The pieces of a text's tokens are the text."""
    for text in (TEXT, "naïve = 'λ 🙂'\n", "<|turn>user\n"):
        assert b"".join(backend.piece(t) for t in backend.tokenize(text, False)).decode() == text


def test_repository_text_never_becomes_a_control_token(backend: Backend) -> None:
    """A marker in a source file stays text."""
    tokens = backend.tokenize("<end_of_turn><eos><bos>", False)
    assert not any(backend.is_end(t) for t in tokens)
    assert backend.bos not in tokens


def test_positions_must_follow_each_other(backend: Backend) -> None:
    """A gap at the end of a sequence is refused, not guessed."""
    feed(backend, 0, prompt(backend))
    with pytest.raises(Exception, match=r".+"):
        backend.evaluate(0, 1000, prompt(backend)[:4], False, never)


def test_a_rewind_gives_the_same_answer(backend: Backend) -> None:
    """Removing the tail and feeding it again changes nothing."""
    tokens = prompt(backend)
    feed(backend, 0, tokens[:-4])
    feed(backend, 0, tokens[-4:], len(tokens) - 4)
    first = answer(backend, 0, len(tokens))
    backend.remove(0, len(tokens) - 4, -1)
    feed(backend, 0, tokens[-4:], len(tokens) - 4)
    assert answer(backend, 0, len(tokens)) == first


def test_a_hidden_range_is_not_seen_and_comes_back_exact(backend: Backend) -> None:
    """Cells moved to another sequence leave a gap that decoding accepts; moved back, the answer is the old one."""
    tokens = prompt(backend)
    cut = (10, 30)
    feed(backend, 0, tokens[:-1])
    feed(backend, 0, tokens[-1:], len(tokens) - 1)
    first = answer(backend, 0, len(tokens))
    backend.copy(0, 2, *cut)
    backend.remove(0, *cut)
    assert backend.last_position(0) == len(tokens) - 1
    backend.remove(0, len(tokens) - 1, -1)
    feed(backend, 0, tokens[-1:], len(tokens) - 1)
    answer(backend, 0, len(tokens))
    backend.copy(2, 0, *cut)
    backend.remove(2, *cut)
    backend.remove(0, len(tokens) - 1, -1)
    feed(backend, 0, tokens[-1:], len(tokens) - 1)
    assert answer(backend, 0, len(tokens)) == first


def test_an_aborted_batch_leaves_nothing(backend: Backend) -> None:
    """After an abort the sequence ends where it ended, and goes on as if nothing had happened."""
    tokens, n = prompt(backend), 16
    feed(backend, 0, tokens[:-n])
    with pytest.raises(Aborted):
        backend.evaluate(0, len(tokens) - n, tokens[-n:], True, lambda: True)
    assert backend.last_position(0) == len(tokens) - n - 1
    feed(backend, 0, tokens[-n:], len(tokens) - n)
    after_abort = answer(backend, 0, len(tokens))
    backend.remove(0, -1, -1)
    feed(backend, 0, tokens[:-n])
    feed(backend, 0, tokens[-n:], len(tokens) - n)
    assert answer(backend, 0, len(tokens)) == after_abort


def test_sequences_do_not_see_each_other(backend: Backend) -> None:
    """The side sequence's answer is the same whether or not a trunk is resident."""
    tokens = prompt(backend, "x = 1\ny =")
    feed(backend, 3, tokens)
    alone = answer(backend, 3, len(tokens))
    backend.remove(3, -1, -1)
    feed(backend, 0, prompt(backend))
    feed(backend, 3, tokens)
    assert answer(backend, 3, len(tokens)) == alone


def test_a_guarded_window_survives_a_long_tail(backend: Backend) -> None:
    """Cells that a second sequence shares are not recycled: after a tail of several windows the rewind is exact."""
    n_swa = backend.info.n_swa
    body = prompt(backend, TEXT * (1 + n_swa // 40))
    feed(backend, 0, body[:-1])
    feed(backend, 0, body[-1:], len(body) - 1)
    backend.copy(0, 1, max(0, len(body) - n_swa), len(body))
    first = answer(backend, 0, len(body), 3)
    tail = backend.tokenize("# and so on, word after word\n" * (3 * n_swa // 8), False)[: 3 * n_swa]
    feed(backend, 0, tail, len(body))
    backend.remove(0, len(body) - 1, -1)
    backend.remove(1, len(body) - 1, -1)
    feed(backend, 0, body[-1:], len(body) - 1)
    assert answer(backend, 0, len(body), 3) == first


def test_a_saved_state_answers_the_same_and_can_be_guarded(backend: Backend) -> None:
    """Saved at the body's end and loaded into an empty cache, it goes on, and can be rewound to where it was saved."""
    n_swa = backend.info.n_swa
    body = prompt(backend, TEXT * (1 + n_swa // 40))
    feed(backend, 0, body)
    ask = backend.tokenize("\n\n\ndef div(", False)
    backend.copy(0, 1, max(0, len(body) - max(1, n_swa)), len(body))
    feed(backend, 0, ask, len(body))
    first = answer(backend, 0, len(body) + len(ask), 3)
    backend.remove(0, len(body), -1)
    state = backend.save(0)
    for seq in range(backend.n_seq):
        backend.remove(seq, -1, -1)
    assert backend.load(0, state)
    assert backend.last_position(0) == len(body) - 1
    backend.copy(0, 1, max(0, len(body) - max(1, n_swa) + 1), len(body))
    for _ in range(2):
        feed(backend, 0, ask, len(body))
        assert answer(backend, 0, len(body) + len(ask), 3) == first
        backend.remove(0, len(body), -1)


def test_healing_offers_every_way_to_spell_the_text(backend: Backend) -> None:
    """Compatible tokens start with the text or are a start of it; each first byte agrees."""
    found = backend.tokens_compatible(b"ret")
    assert found
    assert backend.tokens_compatible(b"ret") == found
    assert all(p.startswith(b"ret") or b"ret".startswith(p) for p in map(backend.piece, found))


def test_allowed_tokens_are_kept_to(backend: Backend) -> None:
    """A constrained choice is among the allowed ones."""
    feed(backend, 0, prompt(backend))
    sampler = backend.sampler(Sampling(), [])
    allowed = backend.tokens_compatible(b"q")
    assert sampler.sample(allowed) in allowed
    sampler.close()


def test_a_batch_of_guesses_says_what_one_by_one_says(backend: Backend) -> None:
    """The choice after each token is that of a batch which ends there."""
    tokens = prompt(backend, TEXT)
    n = backend.n_choices
    feed(backend, 0, tokens[:-n])
    together = backend.choices(0, len(tokens) - n, tokens[-n:], never)
    backend.remove(0, len(tokens) - n, -1)
    sampler, single = backend.sampler(Sampling(), []), []
    for at in range(len(tokens) - n, len(tokens)):
        backend.evaluate(0, at, tokens[at : at + 1], True, never)
        single.append(sampler.sample(None))
    sampler.close()
    assert len(together) == n
    assert sum(a == b for a, b in zip(together, single, strict=True)) >= n - 1  # a tie may fall either way


def test_wrong_guesses_are_taken_back_exactly(backend: Backend) -> None:
    """Also on a windowed cache that has long been full: the answer goes on as it does without them."""
    n_swa = backend.info.n_swa
    body = prompt(backend, TEXT * (1 + n_swa // 40))
    feed(backend, 3, body)
    first = answer(backend, 3, len(body), 5)
    backend.remove(3, -1, -1)
    feed(backend, 0, body)
    wrong = backend.tokenize("zebra", False) * backend.n_choices
    for n, token in enumerate(first[:-1]):
        chosen = backend.choices(0, len(body) + n, [token, *wrong][: backend.n_choices], never)
        assert chosen[0] == first[n + 1]
        backend.remove(0, len(body) + n + 1, -1)


def test_another_first_token_can_be_asked_for(backend: Backend) -> None:
    """Each rank is another token; where the next one is out of the question, the answer ends."""
    feed(backend, 0, prompt(backend))
    first = [_first_token(backend, Sampling(rank=rank, min_p=1e-6)) for rank in range(3)]
    assert len(set(first)) == 3


def test_an_improbable_first_token_ends_the_answer(llama: LlamaBackend) -> None:
    """Nothing but the best token is as probable as the best."""
    feed(llama, 0, prompt(llama))
    assert llama.is_end(_first_token(llama, Sampling(rank=1, min_p=1.0)))
    llama.remove(0, -1, -1)


def test_how_sure_the_first_token_was_is_told(llama: LlamaBackend) -> None:
    """A share of all that was possible, and of what was allowed where that was confined; later tokens do not count."""
    tokens = prompt(llama)
    feed(llama, 0, tokens)
    for allowed, low, high in ((None, 0.01, 0.999), (llama.tokens_compatible(b"zzzz")[:1], 0.999, 1.001)):
        sampler = llama.sampler(Sampling(), [])
        assert sampler.first_chance == 1.0
        sampler.sample(allowed)
        assert low < sampler.first_chance < high
        sampler.close()
    llama.remove(0, -1, -1)


def _first_token(backend: Backend, sampling: Sampling) -> int:
    sampler = backend.sampler(sampling, [])
    token = sampler.sample(None)
    sampler.close()
    return token


def test_a_grammar_is_kept_to(llama: LlamaBackend) -> None:
    """llama.cpp's grammar sampler confines the answer."""
    for seq in range(llama.n_seq):
        llama.remove(seq, -1, -1)
    tokens = prompt(llama)
    feed(llama, 0, tokens)
    sampler, text, end = llama.sampler(Sampling(grammar='root ::= "yes" | "no"'), []), b"", len(tokens)
    for i in range(8):
        token = sampler.sample(None)
        if llama.is_end(token):
            break
        text += llama.piece(token)
        llama.evaluate(0, end + i, [token], True, never)
    sampler.close()
    assert text in (b"yes", b"no")
    llama.remove(0, -1, -1)


def test_moved_cells_are_followed_where_they_are(backend: Backend) -> None:
    """Positions move with the shift, and nothing is saved before a batch has made it come true."""
    assert backend.can.shift
    tokens = prompt(backend)
    feed(backend, 0, tokens)
    backend.shift(0, 0, -1, 7)
    assert backend.last_position(0) == len(tokens) + 6
    with pytest.raises(EngineError, match="evaluate first"):
        backend.save(0)
    with pytest.raises(EngineError, match="evaluate first"):
        backend.window(0)
    backend.evaluate(0, len(tokens) + 7, tokens[:1], False, lambda: True)
    assert backend.save(0)


def test_cells_of_two_sequences_move_once_for_both(backend: Backend) -> None:
    """So the guard follows the trunk, and must not be moved itself."""
    tokens = prompt(backend)
    feed(backend, 0, tokens)
    backend.copy(0, 1, 4, -1)
    backend.shift(0, 4, -1, 5)
    assert (backend.last_position(0), backend.last_position(1)) == (len(tokens) + 4, len(tokens) + 4)
    backend.evaluate(3, 0, tokens[:1], False, never)


def test_an_empty_sequence_begins_anywhere_and_lends_its_window(backend: Backend) -> None:
    """One token computed alone is a window; put into another sequence, batches there must follow on it."""
    tokens = prompt(backend)
    feed(backend, 0, tokens)
    backend.evaluate(2, 20, tokens[20:21], False, never)
    one = backend.window(2)
    backend.copy(0, 3, 0, 21)
    backend.set_window(3, one)
    assert backend.last_position(3) == 20
    backend.evaluate(3, 21, tokens[21:30], False, never)
    assert backend.last_position(3) == 29
    assert backend.last_position(0) == len(tokens) - 1


def test_a_moved_prompt_answers_as_before(llama: LlamaBackend) -> None:
    """Positions are relative to each other: a rotation of all of them changes nothing but the last bits."""
    tokens = prompt(llama)
    feed(llama, 0, tokens)
    first = answer(llama, 0, len(tokens))
    llama.remove(0, len(tokens) - 1, -1)
    llama.shift(0, 0, -1, 40)
    feed(llama, 0, tokens[-1:], len(tokens) + 39)
    assert answer(llama, 0, len(tokens) + 40) == first
    llama.remove(0, -1, -1)


def test_a_failed_shift_empties_the_whole_cache(llama: LlamaBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """llama.cpp tells of it in its log alone; what is left then is rotated in some layers and not in others."""
    tokens = prompt(llama)
    feed(llama, 0, tokens)
    first = answer(llama, 0, len(tokens))
    feed(llama, 2, tokens)
    llama.shift(0, 4, -1, 5)
    said = b"update: failed to compute K-shift"
    monkeypatch.setattr(library, "forget_errors", lambda: library._on_log(4, said, None))
    with pytest.raises(ShiftFailed, match="K-shift"):
        llama.evaluate(3, 0, tokens[:1], False, never)
    monkeypatch.undo()
    assert [llama.last_position(seq) for seq in range(llama.n_seq)] == [-1] * llama.n_seq
    feed(llama, 0, tokens)
    assert answer(llama, 0, len(tokens)) == first
    llama.remove(0, -1, -1)


def test_what_cannot_be_tried_is_not_done_and_tried_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that the child cannot load: no splice. What was found is remembered; a damaged memory is none."""
    monkeypatch.setattr(probe, "found_file", lambda: tmp_path / "cache" / "shifts.json")
    missing = LlamaOptions(path="missing.gguf", n_ctx=256)
    assert not can_shift(missing, "one")
    tried: list[object] = []

    def run(command: object, **options: object) -> None:
        tried.append(command)
        raise OSError("no process can be started")

    monkeypatch.setattr(probe.subprocess, "run", run)
    assert not can_shift(missing, "one")
    assert tried == []
    probe.found_file().write_text('{"two": true, "three": false}')
    assert (can_shift(missing, "two"), can_shift(missing, "three"), tried) == (True, False, [])
    probe.found_file().write_text('["two"')
    assert not can_shift(missing, "two")
    assert len(tried) == 1


def test_a_trial_that_did_not_come_back_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine may have had other work; after some times that is the answer."""
    monkeypatch.setattr(probe, "found_file", lambda: tmp_path / "shifts.json")
    tried: list[object] = []

    def run(command: list[str], timeout: float, **options: object) -> None:
        tried.append(command)
        raise probe.subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(probe.subprocess, "run", run)
    assert not any(can_shift(LlamaOptions(path="slow.gguf", n_ctx=256), "slow") for _ in range(probe.TIMES + 2))
    assert len(tried) == probe.TIMES
