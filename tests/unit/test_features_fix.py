"""'Fix this bug': when a function is written anew from what it says it does, its old body out of sight."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gemma_lsp.base.errors import EditError
from gemma_lsp.features.actions import ExplainRequest, edit_action, run_action
from gemma_lsp.features.actions.edits import Proposal
from gemma_lsp.features.actions.explain import Reported
from gemma_lsp.features.context import FeatureContext
from gemma_lsp.models.trust import Trust
from gemma_lsp.prompt.resident import Focus
from gemma_lsp.text import Span
from tests.support.feature_cases import Case, context_for
from tests.support.scripted import ScriptedEngine, scripted_model

PATH = "shop/total.py"
CONTRACT = 'def total(parcels):\n    """The sum of what the parcels weigh; 0 where there are none."""\n'
BODY = "    weight = 1\n    for parcel in parcels:\n        weight += parcel.weight\n    return weight\n"
RIGHT = "    return sum(parcel.weight for parcel in parcels)\n"
BELOW = "\n\ndef last(parcels):\n    return parcels[-1]\n"
SEEN = CONTRACT.removeprefix("def total(") + BODY.replace("weight = 1", "weight = 0") + "```"
SAME = CONTRACT.removeprefix("def total(") + BODY + "```"
SMALL = Trust(reviews=False, small=True)


def started(engine: ScriptedEngine, trust: Trust = SMALL, code: str = CONTRACT + BODY + BELOW) -> FeatureContext:
    ctx = context_for(Case(name="", source="", files={PATH: code}, options={"explain.thinking_tokens": "0"}), engine)
    return replace(ctx, trust=trust)


def chat(*answers: str) -> ScriptedEngine:
    return ScriptedEngine(*answers, model=scripted_model("chat"))


async def fixed(ctx: FeatureContext, **more: object) -> Proposal:
    action = edit_action("fix-bug")
    assert action is not None
    at = ctx.index.files[PATH].text.content.index("return")
    return await run_action(ctx, action, ExplainRequest(path=PATH, span=Span(at, at), **more), print)  # type: ignore[arg-type]


@pytest.mark.parametrize("offset", [None, 3, len(CONTRACT) + 8])
async def test_a_small_model_does_not_see_what_it_would_copy(offset: int | None) -> None:
    """Neither in the files, nor where it is being edited; what follows the function stays in sight."""
    engine = chat(RIGHT + "```")
    ctx = started(engine)
    focus = Focus(PATH, offset) if offset is not None else None
    ctx = replace(ctx, resident=ctx.resident.with_index(ctx.index, focus))
    proposal = await fixed(ctx)
    assert proposal.after.content == CONTRACT + RIGHT + BELOW
    assert proposal.label == "Write total anew, as its docstring says"
    (asked,) = engine.asked
    shown = "".join(segment.visible for segment in asked.prompt)
    assert "weight += parcel.weight" not in shown
    assert "The sum of what the parcels weigh" in shown
    assert "return parcels[-1]" in shown
    assert shown.endswith(CONTRACT)


async def test_what_was_resident_stays_so() -> None:
    """Nothing is read again for it: lines are masked, and everything before the request is as it was."""
    engine = chat(RIGHT + "```")
    ctx = started(engine)
    await fixed(ctx)
    keys = {segment.key for segment in ctx.resident.whole}
    (asked,) = engine.asked
    assert {segment.key for segment in asked.prompt if segment.region in ("preamble", "body")} <= keys


async def test_a_larger_model_sees_the_code_first() -> None:
    """And changes as little of it as it can; only where it sees nothing to correct, it writes it anew."""
    engine = chat(SEEN)
    proposal = await fixed(started(engine, Trust(reviews=True)))
    assert len(engine.asked) == 1
    assert proposal.label == "Fix this bug in total"
    assert proposal.after.content == CONTRACT + BODY.replace("weight = 1", "weight = 0") + BELOW
    engine = chat(SAME, RIGHT + "```")
    proposal = await fixed(started(engine, Trust(reviews=True)))
    assert proposal.after.content == CONTRACT + RIGHT + BELOW
    assert "weight += parcel.weight" in "".join(segment.visible for segment in engine.asked[0].prompt)
    assert "weight += parcel.weight" not in "".join(segment.visible for segment in engine.asked[1].prompt)


async def test_a_small_model_that_writes_the_same_is_shown_the_code() -> None:
    """The second try is the other way; the cost is that of both."""
    engine = chat(BODY + "```", SEEN)
    proposal = await fixed(started(engine))
    assert proposal.after.content == CONTRACT + BODY.replace("weight = 1", "weight = 0") + BELOW
    assert "weight += parcel.weight" in "".join(segment.visible for segment in engine.asked[1].prompt)
    assert proposal.cost.generated > len(SEEN) // 3


@pytest.mark.parametrize(
    "code",
    [
        "def total(parcels):\n" + BODY + BELOW,
        'def total(parcels):\n    """The sum."""\n' + BODY + BELOW,
        'class Parcels:\n    """All of the parcels of one customer, in order."""\n\n    return_to = 2\n',
        'def total(parcels):\n    """The sum of what they weigh, however heavy."""; return parcels\n',
    ],
)
async def test_without_a_contract_the_code_is_seen(code: str) -> None:
    """A docstring of a word or two is none, and a class is more than its docstring."""
    engine = chat("x x x")
    with pytest.raises(EditError):
        await fixed(started(engine, code=code))
    assert all("return" in "".join(segment.visible for segment in asked.prompt) for asked in engine.asked)


async def test_whoever_says_what_is_wrong_is_heard() -> None:
    """A diagnostic or a traceback is about the code as it stands: the model sees both."""
    for more in ({"diagnostics": (Reported(line=2, source="lint", message="off by one"),)}, {"traceback": "boom"}):
        engine = chat(SEEN)
        await fixed(started(engine), **more)
        assert "weight += parcel.weight" in "".join(segment.visible for segment in engine.asked[0].prompt)


async def test_a_function_without_a_body_is_no_fix() -> None:
    """Whatever is left of an answer: a docstring alone is not what the function did."""
    engine = chat("def other():\n    pass\n```", CONTRACT.removeprefix("def total(") + "    pass\n```")
    with pytest.raises(EditError, match="leaves nothing of what `total` does"):
        await fixed(started(engine))


async def test_parameters_keep_their_names() -> None:
    """Somebody may call the function by them; what is corrected is what it does. One that is added is fine."""
    renamed = SEEN.replace("parcels", "items")
    engine = chat(renamed, SEEN)
    proposal = await fixed(started(engine, Trust(reviews=True)))
    assert len(engine.asked) == 2
    assert "it renames or drops the parameter `parcels`" in engine.asked[1].text
    assert proposal.after.content == CONTRACT + BODY.replace("weight = 1", "weight = 0") + BELOW
    engine = chat(SEEN.replace("parcels):", "parcels, start=0):"))
    await fixed(started(engine, Trust(reviews=True)))
    assert len(engine.asked) == 1
