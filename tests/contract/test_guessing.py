"""The real model over the engine: guessed tokens change the number of batches, not the text."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gemma_lsp.backends.llama import LlamaBackend, LlamaOptions
from gemma_lsp.engine.core import Engine
from gemma_lsp.engine.lookup import Found
from gemma_lsp.engine.messages import Finished, Generate, Warm
from gemma_lsp.engine.speculation import Speculation
from gemma_lsp.models.default_model import default_model
from tests.support.engines import Asker

CLASS = '''class Parcel:
    """A packed box."""

    def __init__(self, weight_kg, length_cm, width_cm, height_cm):
        self.weight_kg = weight_kg
        self.length_cm = length_cm
        self.width_cm = width_cm
        self.height_cm = height_cm

    def volume_cm3(self):
        """The volume of the box in cubic centimetres."""
        return self.length_cm * self.width_cm * self.height_cm
'''
BEGUN = 'class Letter:\n    """A thin one."""\n\n    def __init__(self, weight_kg, length_cm, width_cm, height_cm):\n'


class Eager(Speculation):
    """Tries every guess, whatever it costs here."""

    def worth(self, found: Found, room: int, streak: int = 0) -> tuple[int, ...]:
        return found.tokens[: max(0, room)]


@pytest.fixture
def asker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Asker]:
    monkeypatch.setattr("gemma_lsp.engine.admission.Speculation", Eager)
    backend = LlamaBackend(LlamaOptions(path=str(default_model()), n_ctx=4096))
    engine = Engine(lambda progress: backend)
    engine.start()
    yield Asker(engine)
    engine.close()


def test_a_real_model_says_the_same_with_and_without_guesses(asker: Asker) -> None:
    """A sibling of a class that stands in the repository, on a windowed cache whose window is long full."""
    body = "b:" + CLASS + "\n\n" + "".join(CLASS.replace("Parcel", f"Parcel{n}") + "\n\n" for n in range(6))
    asker.ask(Warm(id="w", workspace="w", prompt=asker.refs(body)))
    asker.final("w")
    answers = []
    for id_, guess in (("plain", False), ("guessed", True)):
        refs = asker.refs(body, "r:" + BEGUN)
        asker.ask(Generate(id=id_, workspace="w", prompt=refs, max_tokens=48, guess=guess))
        done = asker.final(id_)
        assert isinstance(done, Finished)
        answers.append(done)
    plain, guessed = answers
    assert guessed.text == plain.text
    assert "self.weight_kg = weight_kg" in plain.text
    assert plain.cost.guessed == 0
    assert guessed.cost.guessed_right > 20
