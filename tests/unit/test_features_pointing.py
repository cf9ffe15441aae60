"""Where a small model says that the bug is: at a line that its own correction changes, quoted before it explains."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gemma_lsp.features.actions import edit_action, run_action
from gemma_lsp.features.actions.edits import Proposal
from gemma_lsp.features.actions.explain import ExplainRequest, Reported, explain
from gemma_lsp.features.actions.pointing import touched_lines
from gemma_lsp.features.context import FeatureContext
from gemma_lsp.models.trust import Trust
from gemma_lsp.prompt.tails import Asked
from gemma_lsp.text import Edit, Span, Text
from tests.support.scripted import ScriptedEngine, scripted_model
from tests.unit.test_features_fix import BODY, CONTRACT, PATH, SAME, SMALL, chat, started

TWO = BODY.replace("weight = 1", "weight = 0").replace("return weight", "return round(weight)") + "```"
ONE = BODY.replace("weight = 1", "weight = 0") + "```"
WHOLE = Span(0, len(CONTRACT + BODY))


async def told(ctx: FeatureContext, **more: object) -> tuple[str, list[str]]:
    heard: list[str] = []
    request = ExplainRequest(path=PATH, span=WHOLE, **more)  # type: ignore[arg-type]
    explanation = await explain(ctx, request, heard.append)
    assert "".join(heard) == explanation.words
    return explanation.words, [f"{c.path}:{c.line}" for c in explanation.citations]


async def test_an_explanation_begins_with_a_line_that_the_correction_changes() -> None:
    """Which is a citation, and the model knows what a corrected version has there."""
    engine = chat(ONE, " the sum begins at 1.")
    words, cited = await told(started(engine))
    assert words == "`shop/total.py`: `weight = 1` is wrong: the sum begins at 1."
    assert cited == ["shop/total.py:3"]
    assert "line 3: a corrected version has `weight = 0` here" in engine.asked[1].text
    assert engine.asked[1].text.endswith("`shop/total.py`: `weight = 1` is wrong:")


async def test_of_several_lines_the_model_chooses() -> None:
    """Within a grammar that has nothing but them."""
    engine = chat(TWO, "return weight", " it is not rounded.")
    words, cited = await told(started(engine))
    assert words.startswith("`shop/total.py`: `return weight` is wrong: it")
    assert cited == ["shop/total.py:6"]
    assert engine.asked[1].options.sampling.grammar == 'root ::= "weight = 1" | "return weight"'


async def test_a_fix_that_follows_is_known() -> None:
    """And so is an explanation's correction where the fix came first: it costs nothing then."""
    engine = chat(ONE, " so it is.")
    ctx = started(engine)
    request = ExplainRequest(path=PATH, span=WHOLE)
    first = await explain(ctx, request, print)
    action = edit_action("fix-bug")
    assert action is not None
    await run_action(ctx, action, request, print)
    assert len(engine.asked) == 2
    again = await explain(ctx, request, print)
    assert len(engine.asked) == 3
    assert again.cost.generated < first.cost.generated


@pytest.mark.parametrize(
    ("trust", "more"),
    [
        (Trust(reviews=True), {}),
        (SMALL, {"question_kind": Asked.CODE}),
        (SMALL, {"traceback": "boom"}),
        (SMALL, {"diagnostics": (Reported(line=2, source="lint", message="off"),)}),
    ],
)
async def test_elsewhere_the_model_is_asked_outright(trust: Trust, more: dict[str, object]) -> None:
    """A larger model, another question, or somebody who says what is wrong."""
    engine = chat("It is wrong.")
    words, _ = await told(started(engine, trust), **more)
    assert (words, len(engine.asked)) == ("It is wrong.", 1)


async def test_without_a_correction_the_model_is_asked_outright() -> None:
    """As a base model always is."""
    engine = chat(BODY + "```", SAME, "I see nothing.")
    assert (await told(started(engine)))[0] == "I see nothing."
    base = ScriptedEngine(" it is empty.", model=scripted_model("base"))
    assert (await told(replace(started(base), trust=SMALL)))[0].endswith("fails when it is empty.")
    assert len(base.asked) == 1


def test_the_lines_that_an_edit_touches() -> None:
    """What is changed or deleted; where only something comes in, the line above."""
    text = Text("a\nb\nc\nd\n")
    edits = (Edit(Span(2, 4), "x\n"), Edit(Span(6, 6), "y\n"))
    assert touched_lines(Proposal(path="p", label="l", base=text, edits=edits)) == (1, 2)
