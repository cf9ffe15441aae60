"""What a completion is shown of similar code: right before the code at the cursor, as long as one types there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gemma_lsp.engine.messages import Cost, Priority
from gemma_lsp.features import prefetch
from gemma_lsp.features.context import FeatureContext, cursor_place
from gemma_lsp.features.generation import EARLY_OVER
from gemma_lsp.features.habits import LEAST_READ
from gemma_lsp.features.inline import InlineRequest, inline_completion
from gemma_lsp.features.similar import similar_before
from gemma_lsp.prompt.layout import BYTES_PER_TOKEN
from gemma_lsp.prompt.resident import Focus
from gemma_lsp.text import Position, Text
from tests.support.apps import until
from tests.support.feature_cases import Case, context_for
from tests.support.scripted import Asked, ScriptedEngine, scripted_model
from tests.unit.test_syntax_similar import BUSES, HERE, OTHER, TRAINS

FILES = {"here.py": HERE, "trains.py": TRAINS, "windows.py": OTHER}
SHOWN = f"### file: trains.py\n{TRAINS}"


def context(kind: str = "base", chars: int = 1500) -> FeatureContext:
    case = Case(name="", source="", files=dict(FILES), path="here.py", offset=len(HERE))
    ctx = context_for(case, ScriptedEngine("pass", model=scripted_model(kind)))
    completion = replace(ctx.settings.completion, similar_chars=chars)
    return replace(ctx, settings=replace(ctx.settings, completion=completion))


async def prompt_of(ctx: FeatureContext) -> str:
    """What the model is asked at the end of here.py, without what is resident."""
    text = ctx.index.files["here.py"].text
    engine = ctx.engine
    assert isinstance(engine, ScriptedEngine)
    position = text.position(len(text.content))
    await inline_completion(ctx, InlineRequest(path="here.py", position=position, invoked=True))
    return asked_of(ctx, [asked for asked in engine.asked if asked.options.priority is Priority.COMPLETION][-1])


def asked_of(ctx: FeatureContext, asked: Asked) -> str:
    """A prompt without what is resident."""
    return "".join(segment.text for segment in asked.prompt[len(ctx.resident.head()) :])


def with_file(ctx: FeatureContext, path: str, text: str) -> FeatureContext:
    """After an edit; the focus stays where it was."""
    index = ctx.index.with_changes(ctx.index.snapshot.with_changes({path: Text(text)}))
    focus = Focus("here.py", len(index.files["here.py"].text.content))
    return replace(ctx, index=index, resident=ctx.resident.with_index(index, focus))


@pytest.mark.parametrize("kind", ["base", "chat"])
async def test_it_stands_right_before_the_code_at_the_cursor(kind: str) -> None:
    """Behind the header of its file; where it is switched off there is none."""
    prompt = await prompt_of(context(kind))
    assert prompt.startswith(SHOWN)
    assert HERE.rstrip() in prompt.removeprefix(SHOWN)
    assert TRAINS not in await prompt_of(context(kind, chars=0))


async def test_it_stays_while_one_types() -> None:
    """Even if other code would be more like the line by now: what stands before the cursor must not be read again."""
    ctx = context()
    before = await prompt_of(ctx)
    ctx = with_file(ctx, "here.py", f"{HERE}        canvas.fill(self.colour)\n")
    after = await prompt_of(ctx)
    assert after.startswith(before[:-1])
    assert not (await prompt_of(with_file(ctx, "here.py", LONGER))).startswith(SHOWN)


LINE = "        canvas.fill(99)\n"
LONGER = HERE + 30 * LINE
"""So much of the method that other code is more like it."""


def taking_a_moment(ctx: FeatureContext) -> FeatureContext:
    """On a machine that reads similar code in three quarters of a second."""
    ctx.memory.habits.paid(Cost(evaluated=500, prompt_ms=1000.0))
    return ctx


async def test_who_types_does_not_wait_for_other_code() -> None:
    """What is shown stays, whatever would be more like the place by now, and moves when one has stopped for a while."""
    ctx = taking_a_moment(context())
    await prompt_of(ctx)
    engine = ctx.engine
    assert isinstance(engine, ScriptedEngine)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prefetch, "SETTLED_S", 60.0)
        assert (await prompt_of(with_file(ctx, "here.py", LONGER))).startswith(SHOWN)
        patch.setattr(prefetch, "SETTLED_S", 0.0)
        longer = LONGER + LINE
        assert (await prompt_of(with_file(ctx, "here.py", longer))).startswith(SHOWN)
        await until(lambda: engine.asked[-1].options.max_tokens == 1)
    read = asked_of(ctx, engine.asked[-1])
    assert SHOWN not in read
    assert engine.asked[-1].options.priority is Priority.AHEAD
    assert (await prompt_of(with_file(ctx, "here.py", longer + LINE))).startswith(read.rstrip())


async def test_a_key_before_the_pause_is_over_leaves_what_is_shown() -> None:
    """It would be read while the next answer is waited for."""
    ctx = taking_a_moment(context())
    await prompt_of(ctx)
    longer = with_file(ctx, "here.py", LONGER)
    engine = ctx.engine
    assert isinstance(engine, ScriptedEngine)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prefetch, "SETTLED_S", 60.0)
        await prompt_of(longer)
        assert ctx.memory.generations.busy
        ctx.memory.edited("here.py", LONGER + "x = 1\n")
        await until(lambda: not ctx.memory.generations.busy)
    assert all(asked.options.priority is not Priority.AHEAD for asked in engine.asked)


async def test_a_file_that_was_closed_begins_anew() -> None:
    """Nothing is kept for somebody who comes back to it."""
    ctx = taking_a_moment(context())
    await prompt_of(ctx)
    ctx.memory.closed("here.py")
    assert not (await prompt_of(with_file(ctx, "here.py", LONGER))).startswith(SHOWN)


async def test_what_was_changed_is_not_shown_as_it_was() -> None:
    """Nor what is gone."""
    ctx = context()
    await prompt_of(ctx)
    changed = with_file(ctx, "trains.py", BUSES)
    assert (await prompt_of(changed)).startswith(f"### file: trains.py\n{BUSES}")
    gone = ctx.index.with_changes(ctx.index.snapshot.with_changes({"trains.py": None}))
    ctx = replace(ctx, index=gone, resident=ctx.resident.with_index(gone, Focus("here.py", len(HERE))))
    assert "train" not in await prompt_of(ctx)


async def test_what_has_come_next_to_the_cursor_is_not_shown_twice() -> None:
    """A function further down that was moved up while one was elsewhere."""
    far = "".join(
        f"def other_{n}(canvas):\n    canvas.fill({n})\n    return canvas.colour_{n}\n\n\n" for n in range(60)
    )
    ctx = with_file(context(), "trains.py", OTHER)
    own, heads = f"### file: here.py\n{TRAINS}", []
    for below in (f"{far}{TRAINS}", f"{TRAINS}\n\n{far}"):
        ctx = with_file(ctx, "here.py", f"{HERE}        return 0\n\n\n{below}")
        ctx = replace(ctx, resident=ctx.resident.with_index(ctx.index, Focus("here.py", len(HERE))))
        await inline_completion(ctx, InlineRequest(path="here.py", position=Position(3, 0), invoked=True))
        assert isinstance(ctx.engine, ScriptedEngine)
        prompt = ctx.engine.asked[-1].prompt[len(ctx.resident.head()) :]
        heads.append("".join(segment.text for segment in prompt).startswith(own))
    assert heads == [True, False]


async def test_similar_code_takes_nothing_from_what_may_be_read() -> None:
    """Else a long function would be completed without the repository, because of what is shown beside it."""
    most = []
    for chars in (0, 1500):
        ctx = context(chars=chars)
        await prompt_of(ctx)
        assert isinstance(ctx.engine, ScriptedEngine)
        most.append(ctx.engine.asked[-1].options.early_over)
    assert most[0] == EARLY_OVER
    assert most[1] >= EARLY_OVER + len(SHOWN) // BYTES_PER_TOKEN


def test_what_is_prepared_says_nothing_of_the_speed() -> None:
    """It waits while anything else is read."""
    habits = context().memory.habits
    habits.paid(Cost(evaluated=500, prompt_ms=60_000.0), ahead=True)
    assert habits.tokens_per_s is None


async def test_a_slow_machine_reads_nothing_twice() -> None:
    """Unless it is known already what is like this place: that was read."""
    ctx = context()
    habits = ctx.memory.habits
    habits.paid(Cost(evaluated=500, prompt_ms=20_000.0))
    assert TRAINS not in await prompt_of(ctx)
    ctx = context()
    habits = ctx.memory.habits
    habits.paid(Cost(evaluated=500, prompt_ms=500.0))
    assert TRAINS in await prompt_of(ctx)
    habits.paid(Cost(evaluated=LEAST_READ - 1, prompt_ms=60_000.0))
    assert habits.tokens_per_s == 1000
    habits.paid(Cost(evaluated=500, prompt_ms=60_000.0))
    habits.paid(Cost(evaluated=500, prompt_ms=60_000.0))
    habits.paid(Cost(evaluated=500, prompt_ms=60_000.0))
    assert TRAINS in await prompt_of(ctx)


def engine_of(ctx: FeatureContext) -> ScriptedEngine:
    assert isinstance(ctx.engine, ScriptedEngine)
    return ctx.engine


def n_read(ctx: FeatureContext) -> int:
    """How often code was read that nobody waits for."""
    return sum(asked.options.priority is Priority.AHEAD for asked in engine_of(ctx).asked)


async def settled(ctx: FeatureContext) -> None:
    await until(lambda: not ctx.memory.generations.busy)


async def test_without_similar_code_none_is_read_any_more() -> None:
    """It was turned off, or another model fills gaps: nothing would ever take the place of what was shown."""
    ctx = taking_a_moment(context())
    await prompt_of(ctx)
    off = replace(ctx.settings, completion=replace(ctx.settings.completion, similar_chars=0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prefetch, "SETTLED_S", 0.0)
        for n in range(3):
            await prompt_of(replace(with_file(ctx, "here.py", LONGER + n * LINE), settings=off))
            await settled(ctx)
    assert n_read(ctx) == 0


@pytest.mark.parametrize(("path", "text"), [("here.py", LONGER + "p"), ("windows.py", OTHER + "x")])
async def test_who_types_is_not_read_for(path: str, text: str) -> None:
    """What was suggested, or in another file: the pause is over when no key has come, not when it began long ago."""
    ctx = taking_a_moment(context())
    await prompt_of(ctx)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prefetch, "SETTLED_S", 0.05)
        await prompt_of(with_file(ctx, "here.py", LONGER))
        ctx.memory.edited(path, text)
        await settled(ctx)
    assert n_read(ctx) == 0


async def test_another_length_counts_at_once() -> None:
    """Of what was shown before."""
    ctx = context()
    assert (await prompt_of(ctx)).startswith(SHOWN)
    less = replace(ctx.settings, completion=replace(ctx.settings.completion, similar_chars=20))
    longer = replace(with_file(ctx, "here.py", f"{HERE}        x = 1\n"), settings=less)
    assert SHOWN not in await prompt_of(longer)


async def test_what_is_prepared_leaves_what_is_shown() -> None:
    """Acceptance may open another hole, with other code before it: who does not accept goes on as before."""
    ctx = taking_a_moment(context())
    longer = with_file(ctx, "here.py", LONGER)
    await prompt_of(ctx)
    parsed = longer.index.files["here.py"]
    _, place = cursor_place(longer, "here.py", parsed.text, len(LONGER))
    elsewhere = replace(place, before=place.before[place.before.index("\n") + 1 :])
    await similar_before(longer, parsed, len(LONGER), elsewhere, renew=False)
    assert (await prompt_of(longer)).startswith(SHOWN)
