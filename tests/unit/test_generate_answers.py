"""Gathering one answer, adding up costs, and the grammars' texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemma_lsp.base.errors import EngineUnavailable
from gemma_lsp.engine.client import GenerateOptions
from gemma_lsp.engine.messages import Cost
from gemma_lsp.generate.answers import gather, sum_costs
from gemma_lsp.generate.grammars import NOTHING, literal, quoted_finding
from gemma_lsp.prompt.segments import Region, Segment
from tests.support.scripted import ScriptedEngine

PROMPT = (Segment(Region.REQUEST, "Say something."),)


async def test_the_text_is_heard_as_it_comes() -> None:
    """In the pieces of the stream; together they are the answer."""
    heard: list[str] = []
    answer = await gather(ScriptedEngine("one two", piece=4), "w", PROMPT, GenerateOptions(), heard.append)
    assert heard == ["one ", "two"]
    assert (answer.text, answer.reason, answer.cost.generated) == ("one two", "eos", 2)
    assert not answer.unwanted


async def test_enough_ends_the_answer_and_still_tells_its_cost() -> None:
    """The feature stops the engine, so this is no cancellation by somebody else."""
    options = GenerateOptions(enough=lambda text: "b" in text)
    answer = await gather(ScriptedEngine("aaabbbccc"), "w", PROMPT, options)
    assert (answer.text, answer.reason, answer.cost.generated) == ("aaabbb", "enough", 2)
    assert not answer.unwanted


async def test_an_engine_that_is_gone_is_told() -> None:
    """Its error reaches whoever asked."""
    with pytest.raises(EngineUnavailable, match="gone"):
        await gather(ScriptedEngine(EngineUnavailable("gone")), "w", PROMPT, GenerateOptions())


def test_costs_add_up() -> None:
    """Tokens and times are sums; the first token is the first answer's."""
    one = Cost(prompt=10, reused=4, evaluated=6, evaluated_by_region={"body": 6}, generated=2, first_token_ms=5.0)
    two = Cost(prompt=3, evaluated=3, evaluated_by_region={"body": 1, "hole": 2}, exact=False, first_token_ms=9.0)
    both = sum_costs(one, two)
    assert (both.prompt, both.reused, both.evaluated, both.generated) == (13, 4, 9, 2)
    assert both.evaluated_by_region == {"body": 7, "hole": 2}
    assert both.first_token_ms == 5.0
    assert not both.exact


@given(st.text(max_size=40))
def test_a_literal_stays_on_one_line_and_is_closed(text: str) -> None:
    """No text can end the terminal early or break the grammar's line."""
    written = literal(text)
    assert written.startswith('"')
    assert written.endswith('"')
    assert "\n" not in written
    inner = written[1:-1].replace("\\\\", "")
    assert inner.count('"') == inner.count('\\"')


def test_a_finding_quotes_one_of_the_lines() -> None:
    """Each line once; one with a backquote could not be told from the quote's end."""
    grammar = quoted_finding(["x = 1", "x = 1", "y = `z`", 'w = "a\\n"'])
    assert grammar.splitlines()[1] == 'quote ::= "x = 1" | "w = \\"a\\\\n\\""'


def test_without_a_line_to_quote_there_is_nothing_to_find() -> None:
    """The grammar allows one answer."""
    assert quoted_finding([]) == f'root ::= "{NOTHING}"'
