"""What inline completion remembers, when it asks, and how it ends."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gemma_lsp.base.errors import EngineUnavailable
from gemma_lsp.engine.messages import Finished
from gemma_lsp.features.context import FeatureContext
from gemma_lsp.features.generation import EARLY_OVER
from gemma_lsp.features.inline import InlineAnswer, InlineRequest, inline_completion
from gemma_lsp.features.memory import MAX_COMPLETIONS, CompletionCache, Origin, Remembered
from gemma_lsp.prompt.resident import Focus
from gemma_lsp.prompt.segments import Region
from gemma_lsp.text import Text
from tests.support.feature_cases import Case, context_for
from tests.support.scripted import Asked, Interrupted, ScriptedEngine, scripted_model

PATH = "shop/total.py"
OTHER = "shop/rates.py"
CODE = "def total(parcels):\n    return \n"
PAD = "".join(f"def rate_{i}(kg):\n    return kg * {i}\n\n\n" for i in range(120))


def started(engine: ScriptedEngine, code: str = CODE) -> FeatureContext:
    case = Case(name="", source="", files={PATH: code, OTHER: PAD}, path=PATH, offset=code.index("return ") + 7)
    return context_for(case, engine)


def edited(ctx: FeatureContext, path: str, text: str) -> FeatureContext:
    """The context after an edit of the user's, in the same workspace."""
    index = ctx.index.with_changes(ctx.index.snapshot.with_changes({path: Text(text)}))
    return replace(ctx, index=index, resident=ctx.resident.with_index(index, Focus(path, 0)))


async def asked_at(ctx: FeatureContext, typed: str = "", *, invoked: bool = False) -> InlineAnswer:
    """Completes after `return ` and what was typed there."""
    text = CODE.replace("return ", f"return {typed}")
    ctx = edited(ctx, PATH, text)
    position = Text(text).position(text.index("return ") + len("return ") + len(typed))
    return await inline_completion(ctx, InlineRequest(path=PATH, position=position, invoked=invoked))


async def test_typing_along_costs_no_model_call() -> None:
    """The rest of what was shown is shown, key by key."""
    engine = ScriptedEngine("sum(parcels)\n")
    ctx = started(engine)
    assert (await asked_at(ctx)).items[0].text == "sum(parcels)"
    for n in range(1, len("sum(parcels)")):
        answer = await asked_at(ctx, "sum(parcels)"[:n])
        assert answer.reason == "typed along"
        assert answer.items[0].text == "sum(parcels)"[n:]
    assert len(engine.asked) == 1


async def test_leaving_the_suggestion_asks_again() -> None:
    """Another letter than the suggested one is a new question."""
    engine = ScriptedEngine("sum(parcels)\n", "ax(parcels)\n")
    ctx = started(engine)
    await asked_at(ctx)
    assert (await asked_at(ctx, "m")).items[0].text == "ax(parcels)"
    assert (await asked_at(ctx, "s")).reason == "typed along"
    assert len(engine.asked) == 2


async def test_no_suggestion_is_remembered_too() -> None:
    """Where the model had nothing to say it is not asked again."""
    engine = ScriptedEngine("))\n")
    ctx = started(engine)
    assert [(await asked_at(ctx)).reason for _ in range(3)] == ["trivial", "trivial", "trivial"]
    assert len(engine.asked) == 1


async def test_nothing_to_say_without_the_repository_is_asked_again() -> None:
    """Once it is read there may be more to say."""
    engine = ScriptedEngine("))\n", "sum(parcels)\n")
    ctx = started(engine)
    engine.early = True
    assert (await asked_at(ctx)).reason == "trivial"
    engine.early = False
    assert (await asked_at(ctx)).items[0].text == "sum(parcels)"


async def test_an_edit_elsewhere_asks_again() -> None:
    """What the repository says has changed, so a remembered answer may be wrong."""
    engine = ScriptedEngine("sum(parcels)\n", "fsum(parcels)\n")
    ctx = started(engine)
    await asked_at(ctx)
    assert (await asked_at(ctx)).reason == "typed along"
    elsewhere = edited(ctx, OTHER, PAD.replace("kg * 7", "kg * 700"))
    assert (await asked_at(elsewhere)).items[0].text == "fsum(parcels)"


async def test_the_prompt_is_what_is_resident_and_the_code_at_the_cursor() -> None:
    """Beside it goes a short one for as long as the repository is not evaluated."""
    engine = ScriptedEngine("sum(parcels)\n")
    ctx = started(engine)
    await asked_at(ctx)
    asked = engine.asked[0]
    assert asked.text.endswith("return ")
    assert "def rate_119" in asked.text
    early = "".join(segment.text for segment in asked.options.early)
    assert early.startswith("".join(segment.text for segment in ctx.frame.head))
    assert early.endswith("return ")
    assert "def rate_119" not in early
    assert asked.options.early_over == EARLY_OVER
    assert asked.options.supersedes == f"inline w {PATH}"


async def test_the_code_being_written_stands_in_the_prompt_once() -> None:
    """A model copies what it sees."""
    engine = ScriptedEngine("sum(parcels)\n")
    await asked_at(started(engine))
    assert engine.asked[0].text.count("def total(parcels)") == 1


async def test_of_two_requests_while_typing_only_the_latest_asks() -> None:
    """The server supersedes: not every client cancels."""
    engine = ScriptedEngine("sum(parcels)\n")
    ctx = started(engine)
    first = asyncio.create_task(asked_at(ctx, "s"))
    second = asyncio.create_task(asked_at(ctx, "su"))
    assert (await first).reason == "superseded"
    assert (await second).items
    assert len(engine.asked) == 1


async def test_what_another_request_superseded_is_not_remembered() -> None:
    """A half answer is neither shown nor kept."""
    engine = ScriptedEngine(Interrupted("sum(", "superseded"), "sum(parcels)\n")
    ctx = started(engine)
    first = await asked_at(ctx)
    assert (first.items, first.reason) == ((), "superseded")
    assert first.cost is not None
    assert (await asked_at(ctx)).items[0].text == "sum(parcels)"


async def test_at_the_deadline_what_there_is_is_shown() -> None:
    """Its finished words, that is."""
    engine = ScriptedEngine(Interrupted("sum(parcel.weight for par", "deadline"))
    assert (await asked_at(started(engine))).items[0].text == "sum(parcel.weight for"


async def test_an_engine_error_is_the_callers_to_tell() -> None:
    """Nothing is remembered of it."""
    engine = ScriptedEngine(EngineUnavailable("gone"), "sum(parcels)\n")
    ctx = started(engine)
    with pytest.raises(EngineUnavailable):
        await asked_at(ctx)
    assert (await asked_at(ctx)).items


async def test_a_file_that_is_not_in_the_index_has_no_completions() -> None:
    """A secret file is in no index; its text reaches no model."""
    engine = ScriptedEngine("x")
    ctx = started(engine)
    answer = await inline_completion(ctx, InlineRequest(path=".env", position=Text("").position(0), version=7))
    assert (answer.items, answer.reason, answer.version) == ((), "not in the index", 7)
    assert engine.asked == []


async def test_a_block_is_cut_while_it_is_generated() -> None:
    """The engine does not go on to the token limit behind the end of the block."""
    engine = ScriptedEngine("sum(parcels)\n" + "\n\nx = 1" * 50)
    ctx = edited(started(engine), PATH, "def total(parcels):\n    \n")
    at = Text("def total(parcels):\n    ").position(24)
    answer = await inline_completion(ctx, InlineRequest(path=PATH, position=at))
    assert answer.items[0].text == "sum(parcels)"
    assert answer.cost is not None
    assert answer.cost.generated < 10


async def test_outside_the_hole_the_lines_nearby_are_given() -> None:
    """The hole's own text goes along, since it is not in the body."""

    def script(asked: Asked) -> str:
        return "kg\n"

    engine = ScriptedEngine(script, model=scripted_model())
    ctx = edited(started(engine), PATH, CODE.replace("return ", "return 1"))
    position = Text(PAD).position(PAD.index("def rate_60(") + len("def rate_60("))
    await inline_completion(ctx, InlineRequest(path=OTHER, position=position, invoked=True))
    holes = [segment.text for segment in engine.asked[0].prompt if segment.region is Region.HOLE]
    assert any("return 1" in text for text in holes)
    assert holes[-1].endswith("def rate_60(")


def test_the_cache_forgets_the_oldest() -> None:
    """It is bounded."""
    cache = CompletionCache()
    origins = [Origin(path="a.py", before=str(n), after="", files={}) for n in range(MAX_COMPLETIONS + 1)]
    keys = [cache.key((), origin, "") for origin in origins]
    for key in keys:
        cache.put(key, Remembered("x", "model"))
    assert cache.get(keys[0]) is None
    assert cache.get(keys[-1]) == Remembered("x", "model")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("    # ", "in a comment"),
        ("    # The sum of all weights.", "at the end of a sentence"),
        ('    x = "There is nothing more to say. ', "at the end of a sentence"),
        ("    # The sum of", "model"),
        ("    total = parcels.", "model"),
        ('    x = open("parcels.', "model"),
    ],
)
async def test_prose_that_is_finished_is_left_alone(line: str, reason: str) -> None:
    """In comments and strings; code goes on after a dot."""
    engine = ScriptedEngine("more of it\n")
    code = f"def total(parcels):\n{line}"
    ctx = edited(started(engine), PATH, code)
    answer = await inline_completion(ctx, InlineRequest(path=PATH, position=Text(code).position(len(code))))
    assert (answer.reason, bool(engine.asked)) == (reason, reason == "model")


async def test_in_prose_the_model_must_be_sure() -> None:
    """A first token that was one of many possible says nothing; in code, and to one who asks, it does."""
    engine = Unsure("more of it\n")
    for line, invoked, reason in (
        ("    # The sum of", False, "unsure"),
        ("    # The sum of", True, "model"),
        ("    total = ", False, "model"),
    ):
        code = f"def total(parcels):\n{line}"
        ctx = edited(started(engine), PATH, code)
        at = Text(code).position(len(code))
        answer = await inline_completion(ctx, InlineRequest(path=PATH, position=at, invoked=invoked))
        assert answer.reason == reason


class Unsure(ScriptedEngine):
    """Its first tokens are improbable."""

    async def generate(self, workspace, prompt, options):  # type: ignore[no-untyped-def]
        async for event in super().generate(workspace, prompt, options):
            yield replace(event, first_chance=0.1) if isinstance(event, Finished) else event
