"""What an engine was told to remember: it joins the answers, it is learned and left as it is asked for."""

from __future__ import annotations

import threading
import time

import pytest

from gemma_lsp.engine.core import Engine
from gemma_lsp.engine.messages import (
    Around,
    Cancel,
    Count,
    Counted,
    Event,
    Failed,
    Finished,
    Learn,
    NeedTexts,
)
from tests.support.engines import WAIT, Asker, Gate, asker, backend, engine, generate

__all__ = ["asker", "backend", "engine"]  # fixtures


LEARNED = "def shorten(name):\n    return name[:3]\n"


def remembered(asker: Asker, id_: str, *, memory: str = "m", without: tuple[str, ...] = (), **options: object) -> str:
    """What is answered behind `def shorten(`, a text that was learned five times over."""
    around = Around(memory=memory, before=asker.refs("h:\ndef shorten("), without=without)
    asker.ask(generate(asker, id_, "r:" + id_ + " def shorten(", around=around, max_tokens=8, **options))
    done = asker.final(id_)
    assert isinstance(done, Finished)
    return done.text


def test_what_was_learned_joins_the_models_word(asker: Asker) -> None:
    """Until something is learned, and of a file that reads otherwise now, the model's own word counts."""
    own = remembered(asker, "1")
    refs = asker.refs(*(f"b:# {n}\n{LEARNED}" for n in range(5)))
    asker.ask(Learn(id="2", memory="m", texts=refs))
    assert asker.final("2") == Counted(id="2", counts=(len(LEARNED) + 4,) * 5)
    assert remembered(asker, "3") == "name):\n "
    assert remembered(asker, "4", heal=True) == "name):\n"
    assert "name" not in remembered(asker, "5", without=tuple(ref.key for ref in refs))
    assert "name" not in own
    assert "name" not in remembered(asker, "6", memory="another")


def test_guesses_come_from_what_was_learned_and_change_nothing(asker: Asker) -> None:
    """Tried several at a time or one by one, the answer is the same."""
    asker.ask(Learn(id="1", memory="m", texts=asker.refs(*(f"b:# {n}\n{LEARNED}" for n in range(5)))))
    asker.final("1")
    texts = {remembered(asker, f"{guess}", guess=guess) for guess in (True, False)}
    assert texts == {"name):\n "}


def test_a_request_never_shares_the_answer_of_one_that_remembers_something_else(asker: Asker, backend: Gate) -> None:
    """Another window, or this one before another file was changed: the same prompt, and other files that are true."""
    refs = asker.refs(*(f"b:# {n}\n{LEARNED}" for n in range(5)))
    asker.ask(Learn(id="1", memory="m", texts=refs))
    asker.final("1")
    backend.open.clear()
    backend.entered.clear()
    before = asker.refs("h:\ndef shorten(")
    for id_, without in (("2", ()), ("3", tuple(ref.key for ref in refs))):
        around = Around(memory="m", before=before, without=without)
        asker.ask(generate(asker, id_, "r:x def shorten(", around=around, max_tokens=8))
        assert backend.entered.wait(WAIT)
        while len(asker.engine._admission):
            time.sleep(0.001)
    backend.open.set()
    texts = [done.text for id_ in "23" if isinstance(done := asker.final(id_), Finished)]
    assert texts[0] == "name):\n "
    assert "name" not in texts[1]


class Slow(Gate):
    """A fake that tokenises one text when the test lets it."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        self.texts: list[str] = []
        self.go_on = threading.Semaphore(0)
        self.begun = threading.Event()

    def tokenize(self, text: str, special: bool) -> list[int]:
        if text.startswith("slow"):
            self.texts.append(text)
            self.begun.set()
            assert self.go_on.acquire(timeout=WAIT)
        return super().tokenize(text, special)


@pytest.mark.parametrize("backend", [Slow()], ids=["slow"])
def test_learning_ends_where_nobody_wants_it_any_more(asker: Asker, backend: Slow) -> None:
    """The rest is not read."""
    asker.ask(Learn(id="1", memory="m", texts=asker.refs(*(f"b:slow {n}" for n in range(20)))))
    assert backend.begun.wait(WAIT)
    asker.ask(Cancel(id="1"))
    backend.go_on.release(20)
    done = asker.final("1")
    assert isinstance(done, Finished)
    assert done.reason == "cancelled"
    assert len(backend.texts) == 1


@pytest.mark.parametrize("backend", [Slow()], ids=["slow"])
def test_closing_does_not_wait_until_all_is_learned(asker: Asker, backend: Slow) -> None:
    """It is answered once all the same."""
    asker.ask(Learn(id="1", memory="m", texts=asker.refs(*(f"b:slow {n}" for n in range(20)))))
    assert backend.begun.wait(WAIT)
    closing = threading.Thread(target=asker.engine.close)
    closing.start()
    while not asker.engine._admission._stopped:
        time.sleep(0.001)
    backend.go_on.release(20)
    closing.join(WAIT)
    assert isinstance(asker.final("1"), Failed)
    assert len(backend.texts) == 1


def test_texts_are_asked_for_once(engine: Engine) -> None:
    """Also when other requests come while megabytes are on their way."""
    events: list[Event] = []
    asker = Asker(engine)
    asker.ask(Count(id="0", segments=()))
    asker.final("0")
    engine.submit(Learn(id="1", memory="m", texts=asker.refs("b:one", "b:two")), events.append)
    asker.ask(Count(id="2", segments=asker.refs("b:three")))
    asker.final("2")
    assert [type(event) for event in events] == [NeedTexts]
