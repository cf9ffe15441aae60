"""What was told may leave no room for a question: then it is laid out anew, sooner or at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from gemma_lsp.app import App
from gemma_lsp.app import warming as warming_module
from gemma_lsp.app.workspace import Phase, Workspace
from gemma_lsp.base.errors import EngineUnavailable, PromptTooLong
from gemma_lsp.engine.asking import LocalClient
from gemma_lsp.engine.client import GenerateOptions
from gemma_lsp.engine.core import Engine
from gemma_lsp.features.context import FeatureContext, request_prompt
from gemma_lsp.generate.answers import Answer, gather
from gemma_lsp.prompt.resident import Resident
from gemma_lsp.prompt.segments import Region, Segment
from tests.support.apps import Recorder, open_in, retype, until
from tests.support.engines import Gate
from tests.support.sessions import factory, write_files

PARTS = {f"part_{n:02}.py": f"def part_{n:02}(weight, rate):\n    return weight * rate + {n}\n" for n in range(30)}
PASTE = "".join(f"def pasted_{n}(weight, rate):\n    return weight * rate - {n}\n\n\n" for n in range(11))
QUESTION = (Segment(Region.REQUEST, "what is it?"),)


@pytest.fixture
def backend() -> Gate:
    return Gate(n_ctx=2048, n_slice=256, script={"is it?": "this"})


@pytest.fixture
async def app(tmp_path: Path, backend: Gate, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[App]:
    """A repository that fills the context, whose changes are never folded, and a user who never pauses."""
    monkeypatch.setattr(Resident, "foldable", False)
    write_files(tmp_path, PARTS)
    engine = Engine(lambda progress: backend)
    client = LocalClient(engine)
    engine.start()
    app = App(factory(client), Recorder(), idle_s=3600)
    app.add_folder(tmp_path, "parts")
    await app.start()
    yield app
    backend.open.set()
    await app.close()


async def settled(app: App) -> Workspace:
    (workspace,) = app.workspaces
    await until(lambda: workspace.phase is Phase.READY)
    return workspace


def paste(app: App, workspace: Workspace) -> None:
    """Much comes into a new file, and the user goes on elsewhere."""
    assert workspace.root
    uri = open_in(app, workspace.root, "pasted.py", "\n")
    retype(app, uri, PASTE)
    retype(app, open_in(app, workspace.root, "part_20.py"), PARTS["part_20.py"] + "\n")
    assert workspace.resident
    assert workspace.resident.errata


async def ask(ctx: FeatureContext) -> Answer:
    prompt = request_prompt(ctx, QUESTION)
    return await gather(ctx.engine, ctx.workspace, prompt, GenerateOptions(max_tokens=50))


async def test_a_question_after_a_huge_paste_is_asked_on_a_new_layout(app: App) -> None:
    """At once, whatever else is waited for; who does not insist is refused."""
    workspace = await settled(app)
    paste(app, workspace)
    before = workspace.resident
    with pytest.raises(PromptTooLong):
        await app.answer(workspace, ask, insists=False)
    assert workspace.resident is before
    assert (await app.answer(workspace, ask)).text == "this"
    assert workspace.resident
    assert workspace.resident.errata == ()
    await until(lambda: workspace.phase is Phase.READY)


async def test_a_reading_that_a_question_finds_outdated_is_not_waited_for(app: App, backend: Gate) -> None:
    """The paste came in the middle of it."""
    (workspace,) = app.workspaces
    backend.open.clear()
    await until(lambda: workspace.phase is Phase.WARMING and backend.entered.is_set())
    paste(app, workspace)
    layout = workspace.resident and workspace.resident.layout
    answer = asyncio.create_task(app.answer(workspace, ask))
    await until(lambda: workspace.resident is not None and workspace.resident.layout is not layout)
    backend.open.set()
    assert (await answer).text == "this"
    await settled(app)


async def test_a_layout_that_is_planned_without_the_paste_is_planned_again(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The paste and the question came in the middle of it; the layout that it would have been is not read."""
    workspace = await settled(app)
    real, planned, go = LocalClient.count, asyncio.Event(), asyncio.Event()

    async def count(self: LocalClient, segments: Sequence[Segment]) -> list[int]:
        planned.set()
        await go.wait()
        return await real(self, segments)

    monkeypatch.setattr(LocalClient, "count", count)
    app.engine_lost()
    await planned.wait()
    paste(app, workspace)
    answer = asyncio.create_task(app.answer(workspace, ask))
    await until(lambda: workspace.unasked.is_set() and app._members[workspace.root].warming._quiet.pressed.is_set())
    go.set()
    assert (await answer).text == "this"
    assert workspace.resident
    assert workspace.resident.errata == ()
    await settled(app)


async def test_a_question_that_is_too_long_by_itself_is_refused(app: App) -> None:
    """With changes told, after one new layout; without, at once."""
    workspace = await settled(app)

    async def much(ctx: FeatureContext) -> Answer:
        asked.append(ctx.resident)
        return await gather(ctx.engine, ctx.workspace, request_prompt(ctx, QUESTION), GenerateOptions(max_tokens=3000))

    asked: list[Resident] = []
    with pytest.raises(PromptTooLong):
        await app.answer(workspace, much)
    assert len(asked) == 1
    paste(app, workspace)
    with pytest.raises(PromptTooLong):
        await app.answer(workspace, much)
    assert len(asked) == 3


async def test_a_folder_that_is_closed_meanwhile_is_not_waited_for(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """There will be no layout of it any more."""
    workspace = await settled(app)
    paste(app, workspace)
    (member,) = app._members.values()
    monkeypatch.setattr(member.warming, "lay_out", lambda: None)
    answer = asyncio.create_task(app.answer(workspace, ask))
    for _ in range(10):
        await asyncio.sleep(0.005)
    assert workspace.root
    await app.remove_folder(workspace.root)
    with pytest.raises((PromptTooLong, EngineUnavailable)):
        await answer


async def test_what_leaves_too_little_room_is_laid_out_when_it_is_quiet(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before a question is refused, also where it is little beside the repository."""
    monkeypatch.setattr(Resident, "stale", False)
    monkeypatch.setattr(warming_module, "TELL_TOKENS", 4000)
    workspace = await settled(app)
    (member,) = app._members.values()
    member.warming._quiet.idle_s = 0.0
    paste(app, workspace)
    await until(lambda: workspace.resident is not None and "pasted.py" in workspace.resident.layout.by_path)
    await settled(app)
