"""What is prepared ahead of time gives way to everything else, and hurries when somebody comes to want it."""

from __future__ import annotations

from gemma_lsp.engine.core import Engine
from gemma_lsp.engine.messages import Count, Finished, Priority, Warm
from tests.support.engines import WAIT, Asker, Gate, asker, backend, engine, generate

__all__ = ["asker", "backend", "engine"]  # fixtures


def test_what_is_prepared_waits_for_everything_else(engine: Engine, asker: Asker, backend: Gate) -> None:
    """Also for the repository being read."""
    backend.open.clear()
    asker.ask(generate(asker, "first", "b:body", "r:say:"))
    assert backend.entered.wait(WAIT)
    asker.ask(generate(asker, "ahead", "b:body", "r:long:", priority=Priority.AHEAD, max_tokens=8))
    asker.ask(Warm(id="warm", workspace="other", prompt=asker.refs("b:" + "y" * 60)))
    asker.ask(Count(id="barrier", segments=asker.refs("r:barrier")))
    asker.final("barrier")
    backend.open.set()
    asker.final("ahead")
    finished = [event.id for event in asker.events if isinstance(event, Finished)]
    assert finished == ["first", "warm", "ahead"]


def test_what_somebody_comes_to_want_hurries(engine: Engine, asker: Asker, backend: Gate) -> None:
    """It is computed once, and before what is less urgent than the newcomer."""
    backend.open.clear()
    asker.ask(generate(asker, "first", "b:body", "r:say:"))
    assert backend.entered.wait(WAIT)
    parts = ("b:body", "r:long:")
    asker.ask(generate(asker, "ahead", *parts, priority=Priority.AHEAD, max_tokens=8, deadline_ms=60_000))
    asker.ask(Warm(id="warm", workspace="other", prompt=asker.refs("b:" + "y" * 60)))
    asker.ask(generate(asker, "wanted", *parts, priority=Priority.COMPLETION, max_tokens=8, deadline_ms=30_000))
    asker.ask(Count(id="barrier", segments=asker.refs("r:barrier")))
    asker.final("barrier")
    backend.open.set()
    asker.final("warm")
    wanted = asker.final("wanted")
    finished = [event.id for event in asker.events if isinstance(event, Finished)]
    assert finished == ["ahead", "wanted", "first", "warm"]
    assert isinstance(wanted, Finished)
    assert (wanted.text, wanted.reason) == ("abcdefgh", "length")
