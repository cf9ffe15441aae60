"""Who shares a run: typing what comes anyway adopts it, and what follows an acceptance is there before it is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from gemma_lsp.base.errors import EngineUnavailable
from gemma_lsp.engine.messages import Priority
from gemma_lsp.features import adoption
from gemma_lsp.features.context import FeatureContext
from gemma_lsp.features.inline import InlineAnswer, InlineRequest, inline_completion
from gemma_lsp.features.prefetch import next_line
from gemma_lsp.prompt.resident import Focus
from gemma_lsp.text import Text
from tests.support.feature_cases import Case, context_for
from tests.support.scripted import Asked, ScriptedEngine

PATH, OTHER = "shop/total.py", "shop/rates.py"
CODE = "def total(parcels):\n    return \n"
SUM = "sum(parcels)\n"


class Gated(ScriptedEngine):
    """Streams its answers as far as the test lets it: `let(n)` characters in all."""

    def __init__(self, *answers: str) -> None:
        super().__init__(*answers, piece=1)
        self._allowed, self._changed = 0, asyncio.Event()
        self.said = 0

    def let(self, n: int) -> None:
        """So much may come."""
        self._allowed = n
        self._changed.set()

    async def generate(self, workspace, prompt, options):  # type: ignore[no-untyped-def]
        n = 0
        async with asyncio.timeout(20):
            async for event in super().generate(workspace, prompt, options):
                n += 1
                while n > self._allowed:
                    self._changed.clear()
                    await self._changed.wait()
                self.said = n
                yield event


def started(engine: ScriptedEngine, **completion: object) -> FeatureContext:
    files = {PATH: CODE, OTHER: "def rate(kg):\n    return kg\n"}
    case = Case(name="", source="", files=files, path=PATH, offset=CODE.index("return ") + 7)
    ctx = context_for(case, engine)
    settings = replace(ctx.settings, completion=replace(ctx.settings.completion, **completion))  # type: ignore[arg-type]
    return replace(ctx, settings=settings)


def edited(ctx: FeatureContext, path: str, text: str) -> FeatureContext:
    """The context after an edit of the user's, in the same workspace."""
    index = ctx.index.with_changes(ctx.index.snapshot.with_changes({path: Text(text)}))
    ctx.memory.generations.edited(path, text)
    return replace(ctx, index=index, resident=ctx.resident.with_index(index, Focus(path, 0)))


def asking(ctx: FeatureContext, typed: str = "", *, invoked: bool = False) -> asyncio.Task[InlineAnswer]:
    """Completes after `return ` and what was typed there."""
    text = CODE.replace("return ", f"return {typed}")
    position = Text(text).position(text.index("return ") + len("return ") + len(typed))
    request = InlineRequest(path=PATH, position=position, invoked=invoked)
    return asyncio.create_task(inline_completion(edited(ctx, PATH, text), request))


async def asked_at(ctx: FeatureContext, typed: str = "", *, invoked: bool = False) -> InlineAnswer:
    async with asyncio.timeout(20):
        return await asking(ctx, typed, invoked=invoked)


async def until(found: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not found():
            await asyncio.sleep(0.001)


async def test_typing_what_is_being_generated_keeps_the_run() -> None:
    """The request before is cancelled with every key, as editors do; the model is asked once, and the text agrees."""
    engine = Gated(SUM)
    ctx = started(engine)
    task = asking(ctx)
    await until(lambda: engine.asked)
    for n in range(1, 5):
        engine.let(2 * n)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        task = asking(ctx, SUM[:n])
        await asyncio.sleep(0)
    engine.let(100)
    answer = await task
    assert (answer.items[0].text, answer.reason) == ("parcels)", "model")
    assert len(engine.asked) == 1
    assert engine.cancelled == 0
    assert answer.cost is not None


async def test_typing_ahead_of_the_model_waits_for_it() -> None:
    """What was typed faster than it came may still agree."""
    engine = Gated(SUM)
    ctx = started(engine)
    first = asking(ctx)
    await until(lambda: engine.asked)
    second = asking(ctx, "sum(")
    engine.let(100)
    assert (await second).items[0].text == "parcels)"
    assert (await first).items[0].text == "sum(parcels)"
    assert len(engine.asked) == 1


async def test_the_cost_of_a_shared_run_is_told_once() -> None:
    """Whoever hears of it first tells it."""
    engine = Gated(SUM)
    ctx = started(engine)
    tasks = [asking(ctx)]
    await until(lambda: engine.asked)
    tasks += [asking(ctx, "s"), asking(ctx, "su")]
    await asyncio.sleep(0)
    engine.let(100)
    answers = [await task for task in tasks]
    assert [answer.cost is not None for answer in answers].count(True) == 1


async def test_another_letter_ends_the_run_at_once() -> None:
    """It does not go on until the next request, nor until somebody reads its answer."""
    engine = Gated(SUM, "max(parcels)\n")
    ctx = started(engine)
    task = asking(ctx)
    await until(lambda: engine.asked)
    engine.let(3)
    await until(lambda: engine.said == 3)
    edited(ctx, PATH, CODE.replace("return ", "return m"))
    await until(lambda: engine.cancelled)
    assert (await task).reason == "superseded"


async def test_text_that_turns_out_otherwise_is_asked_for_again() -> None:
    """The user was faster, and the model then said something else."""
    engine = Gated(SUM, "ax(parcels)\n")
    ctx = started(engine)
    first = asking(ctx)
    await until(lambda: engine.asked)
    second = asking(ctx, "m")
    engine.let(100)
    assert (await second).items[0].text == "ax(parcels)"
    assert (await first).items == ()
    assert len(engine.asked) == 2


async def test_a_run_that_nobody_waits_for_stops_after_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cancelling leaves it to the next request for a while, then the engine is free."""
    monkeypatch.setattr(adoption, "LINGER_S", 0.01)
    engine = Gated(SUM)
    task = asking(started(engine))
    await until(lambda: engine.asked)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert engine.cancelled == 0
    await until(lambda: engine.cancelled == 1)


async def test_a_run_that_ended_without_anybody_is_typed_along() -> None:
    """Its answer came between two requests."""
    engine = Gated(SUM)
    ctx = started(engine)
    task = asking(ctx)
    await until(lambda: engine.asked)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    engine.let(100)
    await until(lambda: not ctx.memory.generations.busy)
    assert (await asked_at(ctx, "su")).items[0].text == "m(parcels)"
    assert len(engine.asked) == 1


async def test_an_edit_of_another_file_ends_the_adoption() -> None:
    """What the repository says has changed."""
    engine = Gated(SUM, "um(parcels)\n")
    ctx = started(engine)
    first = asking(ctx)
    await until(lambda: engine.asked)
    elsewhere = edited(ctx, OTHER, "def rate(kg):\n    return kg * 2\n")
    second = asking(elsewhere, "s")
    engine.let(100)
    assert (await second).items[0].text == "um(parcels)"
    assert (await first).reason == "superseded"


async def test_an_engine_error_reaches_everyone_who_waits() -> None:
    """And nobody who does not."""

    class Failing(Gated):
        async def generate(self, workspace, prompt, options):  # type: ignore[no-untyped-def]
            async for event in super().generate(workspace, prompt, options):
                raise EngineUnavailable("gone")
                yield event

    engine = Failing(SUM)
    ctx = started(engine)
    tasks = [asking(ctx)]
    await until(lambda: engine.asked)
    tasks.append(asking(ctx, "s"))
    await asyncio.sleep(0)
    engine.let(100)
    for task in tasks:
        with pytest.raises(EngineUnavailable):
            await task


async def test_what_follows_an_acceptance_is_there_before_it_is_asked_for() -> None:
    """At the end of the line nothing follows; the next line is prepared, at the lowest priority."""
    script = {"return ": SUM, "sum(parcels)": "\n", "sum(parcels)\n": "\ndef rate(kg):\n    pass\n"}

    def answer(asked: Asked) -> str:
        return next(said for end, said in script.items() if asked.text.endswith(end))

    engine = ScriptedEngine(answer)
    ctx = started(engine, prefetch=True)
    await asked_at(ctx)
    await until(lambda: not ctx.memory.generations.busy)
    priorities = [asked.options.priority for asked in engine.asked]
    assert priorities == [Priority.COMPLETION, Priority.AHEAD, Priority.AHEAD]
    assert all(asked.options.supersedes != engine.asked[0].options.supersedes for asked in engine.asked[1:])
    assert all(asked.options.early == () for asked in engine.asked[1:])
    assert (await asked_at(ctx, "sum(parcels)")).items == ()
    assert len(engine.asked) == 3


async def test_the_next_line_is_known_when_it_begins() -> None:
    """Enter after an acceptance shows the next line without a model call."""

    def answer(asked: Asked) -> str:
        first, second = "net = sum(parcels)\n", "return net\n"
        return first if asked.text.endswith("\n    ") and "net" not in asked.text else _rest(asked.text, second)

    engine = ScriptedEngine(answer)
    ctx = edited(started(engine, prefetch=True), PATH, "def total(parcels):\n    x = 1\n    \n")
    first = await _at_end(ctx, "def total(parcels):\n    x = 1\n    ")
    assert first.items[0].text == "net = sum(parcels)"
    await until(lambda: not ctx.memory.generations.busy)
    assert len(engine.asked) == 3
    second = await _at_end(ctx, "def total(parcels):\n    x = 1\n    net = sum(parcels)\n    ")
    assert (second.cost, second.items[0].text) == (None, "return net")
    assert len(engine.asked) == 3


async def test_working_elsewhere_ends_the_preparation() -> None:
    """What was prepared stands on a prompt that is another one by now."""
    engine = Gated(SUM, "never comes")
    ctx = started(engine, prefetch=True)
    engine.let(100)
    await asked_at(ctx)
    engine.let(0)
    await until(lambda: len(engine.asked) == 2)
    ctx.memory.edited("shop/other.py", "x = 1\n")
    await until(lambda: engine.cancelled == 1)
    assert not ctx.memory.generations.busy


async def test_typing_another_way_ends_the_preparation() -> None:
    """Typing along does not."""
    engine = Gated(SUM, "never comes")
    ctx = started(engine, prefetch=True)
    engine.let(100)
    await asked_at(ctx)
    engine.let(0)
    await until(lambda: len(engine.asked) == 2)
    assert (await asked_at(ctx, "sum(")).reason == "typed along"
    assert engine.cancelled == 0
    edited(ctx, PATH, CODE.replace("return ", "return sum(x"))
    await until(lambda: engine.cancelled == 1)


async def test_one_who_asks_gets_several_to_choose_from() -> None:
    """Each from another first token; those that are the same or nothing are left out."""
    said = {0: SUM, 1: "max(parcels)\n", 2: SUM, 3: "\n"}
    engine = ScriptedEngine(lambda asked: said[asked.options.sampling.rank])
    ctx = started(engine, candidates=4)
    answer = await asked_at(ctx, invoked=True)
    assert [item.text for item in answer.items] == ["sum(parcels)", "max(parcels)"]
    assert len(engine.asked) == 4
    assert (await asked_at(ctx)).items[0].text == "sum(parcels)"
    assert (await asked_at(ctx, "ma")).items[0].text == "x(parcels)"
    assert len(engine.asked) == 4


async def test_while_typing_there_is_one() -> None:
    """Alternatives cost as much as the first, and nobody chooses while typing."""
    engine = ScriptedEngine(SUM)
    answer = await asked_at(started(engine, candidates=4))
    assert len(answer.items) == len(engine.asked) == 1


@pytest.mark.parametrize(
    ("line", "following"),
    [
        ("    x = 1", "\n    "),
        ("    if x:", "\n        "),
        ("    return x", "\n"),
        ("        raise", "\n    "),
        ("x", "\n"),
        ("", "\n"),
    ],
)
def test_the_next_line_is_indented_as_an_editor_would(line: str, following: str) -> None:
    """Deeper after a header, less deep after what leaves the block."""
    assert next_line(line) == following


async def _at_end(ctx: FeatureContext, before: str) -> InlineAnswer:
    text = before + "\n"
    ctx = edited(ctx, PATH, text)
    return await inline_completion(ctx, InlineRequest(path=PATH, position=Text(before).position(len(before))))


def _rest(text: str, line: str) -> str:
    return line if text.endswith("\n    ") else "\n"
