"""What is remembered of a repository beside the prompt is true, and a gap's prompt stays still while one types."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemma_lsp.config.load import Strength, client_source
from gemma_lsp.engine.client import Around
from gemma_lsp.engine.messages import Cost
from gemma_lsp.features.context import FeatureContext
from gemma_lsp.features.gap import CHARS, MOST_S, gap_place
from gemma_lsp.features.inline import InlineRequest, inline_completion
from gemma_lsp.features.memory import Learned
from gemma_lsp.features.recall import MOST_CHARS, around
from gemma_lsp.prompt.completion_tails import SUFFIX_CHARS
from gemma_lsp.prompt.layout import BYTES_PER_TOKEN
from gemma_lsp.prompt.segments import Region, Segment
from gemma_lsp.text import Position, Text
from tests.support.apps import open_in, retype, running, until
from tests.support.feature_cases import Case, context_for
from tests.support.scripted import ScriptedEngine, scripted_model

FILES = {"here.py": "import os\n\n\ndef f():\n    pass\n\n\ndef g():\n\n    return 1\n", "other.py": "X = 1\n"}
CURSOR = FILES["here.py"].index("\n\n    return") + 1


@pytest.fixture
def ctx() -> FeatureContext:
    found = context_for(Case(name="", source="", files=dict(FILES), path="here.py", offset=CURSOR), ScriptedEngine("x"))
    return replace(found, learned=Learned({path: Segment(Region.BODY, text) for path, text in FILES.items()}))


def told(ctx: FeatureContext, offset: int = CURSOR, lead: str = "") -> Around:
    found = around(ctx, ctx.index.files["here.py"], offset, lead)
    assert found is not None
    return found


def changed(ctx: FeatureContext, path: str, text: str | None) -> FeatureContext:
    files = {path: Text(text) if text is not None else None}
    return replace(ctx, index=ctx.index.with_changes(ctx.index.snapshot.with_changes(files)))


def test_the_file_itself_is_told_as_it_is(ctx: FeatureContext) -> None:
    """All before the cursor with what is certain of the line, and what stands below the line; not as it was learned."""
    found = told(ctx, lead="    n")
    assert "".join(s.text for s in found.before) == FILES["here.py"][:CURSOR] + "    n"
    assert "".join(s.text for s in found.behind) == "    return 1\n"
    assert found.without == (ctx.learned.files["here.py"].key,)
    assert [s.text for s in told(ctx, lead="").before[:-1]] == [s.text for s in found.before[:-1]]


@pytest.mark.parametrize("now", ["X = 2\n", None])
def test_what_reads_otherwise_now_is_left_out(ctx: FeatureContext, now: str | None) -> None:
    """Or is gone; a file that only came back from the disk as it was is not."""
    assert ctx.learned.files["other.py"].key in told(changed(ctx, "other.py", now)).without
    assert ctx.learned.files["other.py"].key not in told(changed(ctx, "other.py", "X = " + str(1) + "\n")).without


def test_a_long_file_is_told_around_the_cursor() -> None:
    """No more of it than is worth it."""
    text = "".join(f"def f{n}():\n    return {n}\n\n\n" for n in range(4000))
    at = text.index("    return 2000\n")
    long = context_for(
        Case(name="", source="", files={"here.py": text}, path="here.py", offset=at), ScriptedEngine("x")
    )
    found = told(long, at)
    for part, all_of_it in ((found.before, text[:at]), (found.behind, text[at:].partition("\n")[2])):
        said = "".join(s.text for s in part)
        assert MOST_CHARS // 2 < len(said) <= MOST_CHARS + 100
        assert said in all_of_it
    assert text[:at].endswith("".join(s.text for s in found.before))


async def test_completions_ask_for_it_unless_it_is_switched_off(ctx: FeatureContext) -> None:
    """It is a setting."""
    engine = ctx.engine
    assert isinstance(engine, ScriptedEngine)
    for on in (True, False):
        settings = replace(ctx.settings, completion=replace(ctx.settings.completion, recall=on))
        position = ctx.index.files["here.py"].text.position(CURSOR)
        request = InlineRequest(path="here.py", position=position, invoked=True)
        await inline_completion(replace(ctx, settings=settings, memory=type(ctx.memory)()), request)
    assert [asked.options.around is not None for asked in engine.asked] == [True, False]


async def test_the_engine_is_told_what_all_files_say_when_nobody_types(shop: Path) -> None:
    """At the start, after an edit, and when there is another engine; not while it is switched off."""
    engine = ScriptedEngine("x")
    app, workspace, _ = await running(shop, engine, idle_s=0.02)

    def learned() -> set[str]:
        return {segment.text for segment in workspace.learned.files.values()}

    def files() -> set[str]:
        return {file.text.content for file in workspace.index.files.values()}

    assert len(files()) > 1
    await until(lambda: learned() == files() and engine.learned)
    path = next(path for path in workspace.index.files if path.endswith(".py"))
    retype(app, open_in(app, shop, path), "ANSWER = 42\n")
    assert learned() != files()
    await until(lambda: learned() == files())
    before, engine.learned = engine.learned, {}
    next(iter(app._members.values())).learning.forgotten()
    await until(lambda: engine.learned == before)
    await app.configure([client_source(Strength.INITIALIZATION_OPTIONS, {"completion": {"recall": False}})])
    await until(lambda: not learned() and not engine.learned)
    await app.close()


async def test_an_engine_that_dies_while_it_answers_is_told_again(shop: Path) -> None:
    """What it had just learned is gone with it."""

    class Dying(ScriptedEngine):
        dies = False

        async def learn(self, memory: str, texts: Sequence[Segment]) -> int:
            n = await super().learn(memory, texts)
            if self.dies:
                self.dies, self.learned = False, {}
                next(iter(app._members.values())).learning.forgotten()
            return n

    engine = Dying("x")
    app, workspace, _ = await running(shop, engine, idle_s=0.02)
    await until(lambda: workspace.learned.files)
    path = next(path for path in workspace.index.files if path.endswith(".py"))
    engine.dies = True
    retype(app, open_in(app, shop, path), "ANSWER = 42\n")
    await until(lambda: not engine.dies and workspace.learned.files)
    await until(lambda: "ANSWER = 42\n" in engine.learned.values())
    await app.close()


async def test_what_leaves_the_index_without_the_disk_is_forgotten(shop: Path) -> None:
    """A document of no folder that is closed, and one into which a secret was typed."""
    engine = ScriptedEngine("x")
    app, workspace, _ = await running(shop, engine, idle_s=0.02)
    uri = "untitled:loose"
    app.open(uri, None, "python", 1, "LOOSE = 1\n")
    loose = next(m.workspace for m in app._members.values() if m.workspace is not workspace)
    await until(lambda: loose.learned.files)
    app.close_document(uri)
    await until(lambda: not loose.learned.files)
    path = next(path for path in workspace.index.files if path.endswith(".py"))
    await until(lambda: path in workspace.learned.files)
    uri = open_in(app, shop, path)
    await asyncio.sleep(0.2)  # nothing is due any more
    retype(app, uri, 'TOKEN = "ghp_' + "a1B2" * 9 + '"\n')
    await until(lambda: path not in workspace.learned.files)
    await app.close()


def lines() -> Iterator[str]:
    return (f"value_{n} = compute({n})\n" for n in range(2000))


@given(st.integers(0, 2000))
def test_a_gap_shows_whole_lines_as_many_as_there_is_room_for(line: int) -> None:
    """Before the cursor at most what was asked for, and not much less."""
    text = Text("".join(lines()))
    offset = text.offset(Position(line, 0))
    place = gap_place("a.py", text, offset, n_room=10_000, tokens_per_s=None)
    assert text.content[:offset].endswith(place.before)
    assert text.content[offset:].startswith(place.after)
    assert min(offset, 0.75 * CHARS[0]) <= len(place.before) <= CHARS[0]
    assert min(len(text.content) - offset, SUFFIX_CHARS) <= len(place.after)
    assert text.position(offset - len(place.before)).column == 0


def test_a_gap_begins_where_it_began_while_one_types() -> None:
    """Its beginning moves once for some thousand characters."""
    text = Text("".join(lines()))
    starts = []
    for line in range(1000, 1100):
        offset = text.offset(Position(line, 0))
        starts.append(offset - len(gap_place("a.py", text, offset, n_room=10_000, tokens_per_s=None).before))
    assert len(set(starts)) <= 1 + (100 * 30) // (CHARS[0] // 5)


def test_a_gap_in_one_long_line_is_no_longer_than_any_other() -> None:
    """As in data that was made small; it stays where it is while one types there, too."""
    starts = set()
    for n in range(40):
        text = Text("x = [" + "1, " * 100_000 + "2, " * n + "\n" + "y\n")
        offset = text.content.index("\n")
        place = gap_place("a.py", text, offset, n_room=10_000, tokens_per_s=None)
        assert 0.75 * CHARS[0] <= len(place.before) <= CHARS[0]
        assert text.content[:offset].endswith(place.before)
        starts.add(offset - len(place.before))
    assert len(starts) == 1


@pytest.mark.parametrize(("n_room", "speed", "chars"), [(10_000, None, 6000), (10_000, 300.0, 1500), (1200, 1e6, 1500)])
def test_a_gap_is_shorter_where_it_would_take_long(n_room: int, speed: float | None, chars: int) -> None:
    """Or where the context has no room for it."""
    text = Text("".join(lines()))
    offset = text.offset(Position(1000, 0))
    place = gap_place("a.py", text, offset, n_room=n_room, tokens_per_s=speed)
    assert 0.6 * chars <= len(place.before) <= chars


async def test_a_gap_is_not_read_anew_because_reading_took_a_little_longer(ctx: FeatureContext) -> None:
    """Its length is that of the speed that is usual here, until it is quite another one."""
    text = "".join(lines())
    at = text.index("value_1000 ") - 1
    engine = ScriptedEngine("x", model=replace(scripted_model("fim"), n_tail=8192))
    fim = context_for(Case(name="", source="", files={"here.py": text}, path="here.py", offset=at), engine)
    limit = (CHARS[0] + SUFFIX_CHARS) / BYTES_PER_TOKEN / MOST_S
    lengths = []
    for speed in (1.1, 0.9, 1.1, 0.9, 0.1, 0.1, 0.1):
        fim.memory.habits.paid(Cost(evaluated=1000, prompt_ms=1e6 / (speed * limit)))
        request = InlineRequest(path="here.py", position=Text(text).position(at), invoked=True)
        await inline_completion(
            replace(fim, memory=replace(fim.memory, completions=type(fim.memory.completions)())), request
        )
        lengths.append(len("".join(s.text for s in engine.asked[-1].prompt)))
    assert len(set(lengths[:4])) == 1
    assert lengths[-1] < lengths[0] - CHARS[2]


async def test_a_model_that_fills_gaps_is_asked_about_the_gap_alone(ctx: FeatureContext) -> None:
    """It leaves the trunk alone, and has nothing to wait for."""
    engine = ScriptedEngine("x", model=scripted_model("fim"))
    case = Case(name="", source="", files=dict(FILES), path="here.py", offset=CURSOR)
    fim = context_for(case, engine)
    position = fim.index.files["here.py"].text.position(CURSOR)
    await inline_completion(fim, InlineRequest(path="here.py", position=position, invoked=True))
    asked = engine.asked[-1]
    assert (asked.options.alone, asked.options.early) == (True, ())
    assert asked.prompt[0].text == fim.frame.fim["prefix"]
    assert "X = 1" not in "".join(s.text for s in asked.prompt)
    settings = replace(fim.settings, completion=replace(fim.settings.completion, fim_order="spm"))
    request = InlineRequest(path="here.py", position=position, invoked=True)
    await inline_completion(replace(fim, settings=settings, memory=type(fim.memory)()), request)
    assert engine.asked[-1].prompt[0].text == fim.frame.fim["suffix"]
