"""Prompts that share nothing with what is resident: what they cost, and what has to go for them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gemma_lsp.engine.messages import (
    Failed,
    Finished,
)
from tests.support.engines import Asker, Gate, asker, backend, engine, generate

__all__ = ["asker", "backend", "engine"]  # fixtures


@pytest.mark.parametrize("backend", [Gate(n_ctx=600, script={"say:": "hello world"})], ids=["plain"])
def test_a_prompt_that_stands_alone_leaves_what_is_resident(asker: Asker) -> None:
    """Typing in it costs the key; what requests left behind the body goes before the body does."""
    asker.ask(generate(asker, "1", "b:" + "body " * 60, "r:" + "q" * 120 + "say:"))
    asker.final("1")
    for id_, gap in (("2", "gap " * 40 + "x"), ("3", "gap " * 40 + "xy")):
        asker.ask(generate(asker, id_, f"r:{gap}", alone=True, max_tokens=20))
        asker.final(id_)
    second = asker.final("3")
    assert isinstance(second, Finished)
    assert (second.cost.evaluated, second.cost.early) == (1, False)
    asker.ask(generate(asker, "4", "b:" + "body " * 60, "r:say:"))
    third = asker.final("4")
    assert isinstance(third, Finished)
    assert third.cost.reused >= 300
    assert third.text == "hello world"


def test_a_prompt_alone_that_can_never_fit_is_refused(asker: Asker) -> None:
    """As any other."""
    asker.ask(generate(asker, "1", "r:" + "gap " * 400, alone=True))
    failed = asker.final("1")
    assert isinstance(failed, Failed)
    assert failed.error == "PromptTooLong"


@pytest.mark.parametrize("backend", [Gate(n_ctx=600, script={"say:": "hello world"})], ids=["plain"])
def test_a_prompt_alone_takes_no_more_of_the_head_than_it_needs(asker: Asker) -> None:
    """Where much was told behind the body, the end of it goes, not all that is resident."""
    asker.ask(generate(asker, "1", "b:" + "body " * 60, "e:" + "told " * 30, "r:say:"))
    asker.final("1")
    asker.ask(generate(asker, "2", "r:" + "gap " * 50, alone=True, max_tokens=20))
    asker.final("2")
    asker.ask(generate(asker, "3", "b:" + "body " * 60, "e:" + "told " * 30, "r:say:"))
    done = asker.final("3")
    assert isinstance(done, Finished)
    assert done.cost.reused >= 300
    assert done.text == "hello world"


@pytest.mark.parametrize("backend", [Gate(n_ctx=600, n_trunks=2)], ids=["plain"])
def test_a_prompt_alone_lets_the_folder_go_that_nobody_uses(asker: Asker) -> None:
    """Whoever is asked about gaps only works in that folder, too."""
    for id_, workspace in (("1", "w"), ("2", "other")):
        asker.ask(replace(generate(asker, id_, "b:" + workspace + "body " * 50, max_tokens=1), workspace=workspace))
        asker.final(id_)
    asker.ask(generate(asker, "3", "r:" + "gap " * 40, alone=True, max_tokens=20))
    asker.final("3")
    resident = asker.engine._status("").resident
    assert resident["w"] >= 250 > resident["other"]


@pytest.mark.parametrize("backend", [Gate(n_ctx=600, script={"say:": "hello world"})], ids=["plain"])
def test_what_is_masked_is_never_left_at_the_end(asker: Asker) -> None:
    """Where the end of what is resident goes, what is masked before it goes with it."""
    body, told = ("b:" + "body " * 30, "b:" + "tail " * 40), "e:" + "told " * 10
    asker.ask(generate(asker, "1", *body, told, "r:say:"))
    asker.final("1")
    asker.ask(generate(asker, "2", body[0], told, "r:say:"))
    asker.final("2")
    (trunk,) = asker.engine._trunks._by_workspace.values()  # type: ignore[union-attr]
    assert len(trunk.ledger.hidden) == 200
    asker.ask(generate(asker, "3", "r:" + "x" * 269, alone=True, max_tokens=20))
    asker.final("3")
    assert (len(trunk.ledger), len(trunk.ledger.hidden)) == (151, 0)
    asker.ask(generate(asker, "4", body[0], told, "r:say:"))
    done = asker.final("4")
    assert isinstance(done, Finished)
    assert (done.text, done.cost.reused, done.cost.exact) == ("hello world", 151, True)
