"""What is suggested where the model's first choice cannot stand, and where the depth of a line is certain."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gemma_lsp.features.context import FeatureContext
from gemma_lsp.features.inline import OTHERWISE, InlineAnswer, InlineRequest, inline_completion
from gemma_lsp.prompt.resident import Focus
from gemma_lsp.text import Text
from tests.support.feature_cases import Case, context_for
from tests.support.scripted import ScriptedEngine, scripted_model

PATH = "shop/total.py"


def at_cursor(engine: ScriptedEngine, code: str) -> tuple[FeatureContext, int]:
    offset = code.index("$0")
    text = code.replace("$0", "")
    ctx = context_for(Case(name="", source="", files={PATH: text}, path=PATH, offset=offset), engine)
    ctx = replace(ctx, resident=ctx.resident.with_index(ctx.index, Focus(PATH, offset)))
    return ctx, offset


async def completed(engine: ScriptedEngine, code: str, *, again: bool = False, invoked: bool = False) -> InlineAnswer:
    ctx, offset = at_cursor(engine, code)
    request = InlineRequest(path=PATH, position=Text(code).position(offset), invoked=invoked)
    first = await inline_completion(ctx, request)
    return await inline_completion(ctx, request) if again else first


IFS = "def total(n):\n    if n:\n        return 1\n$0\n    elif n > 2:\n        return 2\n"


async def test_another_beginning_is_tried_where_the_best_one_breaks_the_file() -> None:
    """The second choice is shown and remembered; it costs its own tokens only."""
    engine = ScriptedEngine("x = 1\n", "        # one\n        pass\n")
    answer = await completed(engine, IFS)
    assert [asked.options.sampling.rank for asked in engine.asked] == [0, 1]
    assert answer.items[0].text == "        # one"
    assert answer.cost is not None
    assert answer.cost.generated == sum(-(-len(text) // 3) for text in ("x = 1", "        # one"))


async def test_not_for_ever() -> None:
    """After a few beginnings that break the file nothing is shown, and that is known."""
    engine = ScriptedEngine("x = 1\n")
    answer = await completed(engine, IFS, again=True)
    assert answer.reason == "does not parse"
    assert len(engine.asked) == 1 + OTHERWISE


async def test_having_nothing_to_say_is_an_answer() -> None:
    """What is empty or trivial is not tried otherwise."""
    engine = ScriptedEngine("\n")
    assert (await completed(engine, "x = $0\n")).reason == "empty"
    assert len(engine.asked) == 1


@pytest.mark.parametrize("kind", ["base", "chat", "fim"])
async def test_the_model_goes_on_behind_an_indentation_that_is_certain(kind: str) -> None:
    """It is part of the prompt and of what is inserted."""
    engine = ScriptedEngine("return n\n", model=scripted_model(kind))
    answer = await completed(engine, "def total(n):\n    if n:\n$0\n    return 2\n")
    assert answer.items[0].text == "        return n"
    assert engine.asked[0].prompt[-1].text.endswith("        ")


async def test_indentation_that_the_editor_wrote_is_not_written_twice() -> None:
    """Only what is missing of it is inserted."""
    engine = ScriptedEngine("return n\n")
    answer = await completed(engine, "def total(n):\n    if n:\n        $0\n    return 2\n")
    assert answer.items[0].text == "return n"


async def test_whoever_asks_a_model_that_fills_gets_the_whole_gap() -> None:
    """Up to where it goes on with what stands behind the cursor; one that never does gives a line."""
    code = "def total(parcels):\n    n = sum($0\n    return n\n"
    engine = ScriptedEngine("p.cost\n        for p in parcels)\n    return n\n", model=scripted_model("fim"))
    assert (await completed(engine, code, invoked=True)).items[0].text == "p.cost\n        for p in parcels)"
    engine = ScriptedEngine("p.cost for p in parcels)\n    n += 1\n" + "    n += 2\n" * 80, model=scripted_model("fim"))
    assert (await completed(engine, code, invoked=True)).items[0].text == "p.cost for p in parcels)"
    engine = ScriptedEngine("p.cost\n        for p in parcels)\n    return n\n", model=scripted_model("fim"))
    assert "\n" not in (await completed(engine, code)).items[0].text
