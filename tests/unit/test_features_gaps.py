"""What the model is given of a line that is certain, and how much of a gap it may fill."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gemma_lsp.features.context import FeatureContext
from gemma_lsp.features.inline import InlineAnswer, InlineRequest, inline_completion
from gemma_lsp.prompt.layout import Layout
from gemma_lsp.prompt.resident import Focus, Resident
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


async def completed(engine: ScriptedEngine, code: str, *, invoked: bool = False) -> InlineAnswer:
    ctx, offset = at_cursor(engine, code)
    return await inline_completion(ctx, InlineRequest(path=PATH, position=Text(code).position(offset), invoked=invoked))


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


async def test_a_name_that_the_code_below_waits_for_is_begun() -> None:
    """The model says what it is; a model that says nothing leaves nothing behind."""
    code = "def total(parcels):\n$0\n    return sum(costs)\n"
    engine = ScriptedEngine(" = [p.cost for p in parcels]\n")
    assert (await completed(engine, code)).items[0].text == "    costs = [p.cost for p in parcels]"
    assert engine.asked[0].prompt[-1].text.endswith("    costs")
    assert (await completed(ScriptedEngine("\n"), code)).reason == "empty"


async def test_a_gap_with_nothing_to_read_before_it_stands_alone() -> None:
    """No frame and no header stand before the first token of a model that fills gaps."""
    ctx, offset = at_cursor(engine := ScriptedEngine("n\n", model=scripted_model("fim")), "def f(n):\n    return $0\n")
    ctx = replace(ctx, resident=Resident.start(Layout((), 0, 0), ctx.index, ctx.frame))
    ctx = replace(ctx, resident=ctx.resident.with_index(ctx.index, Focus(PATH, offset)))
    position = ctx.index.files[PATH].text.position(offset)
    await inline_completion(ctx, InlineRequest(path=PATH, position=position))
    assert [s.text for s in engine.asked[0].prompt] == [
        "<|fim_prefix|>",
        "def f(n):\n",
        "<|fim_suffix|>",
        "\n",
        "<|fim_middle|>",
        "    return ",
    ]
