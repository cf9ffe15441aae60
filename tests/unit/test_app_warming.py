"""The prompt stays resident whatever happens to the engine: failures, deaths while nobody asks, and evictions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gemma_lsp.app import App, Silence
from gemma_lsp.app.workspace import Phase, Workspace
from gemma_lsp.backends.fake import FakeBackend
from gemma_lsp.base.errors import DecodeFailed, EngineError, EngineUnavailable, ModelTooLarge
from gemma_lsp.config.load import Strength, client_source
from gemma_lsp.config.schema import Settings
from gemma_lsp.engine.asking import LocalClient
from gemma_lsp.engine.client import EngineClient, GenerateOptions
from gemma_lsp.engine.core import Engine
from gemma_lsp.engine.messages import Progress
from gemma_lsp.features.memory import Origin
from gemma_lsp.generate.answers import gather
from gemma_lsp.prompt.resident import Resident
from gemma_lsp.prompt.segments import Region, Segment
from tests.support.apps import Recorder, open_in, retype, running, until
from tests.support.scripted import ScriptedEngine
from tests.support.sessions import FILES, factory, write_files

BIG = "\n".join(f"def big{n}(a, b):\n    return a + b * {n}\n" for n in range(20))


class Failing(ScriptedEngine):
    """Fails to read so many times, then reads."""

    def __init__(self, *errors: Exception) -> None:
        super().__init__("x")
        self.errors = list(errors)

    async def warm(
        self, workspace: str, prompt: Any, on_progress: Callable[[Progress], None], *, moves: bool = False
    ) -> Any:
        if self.errors:
            raise self.errors.pop(0)
        return await super().warm(workspace, prompt, on_progress, moves=moves)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gemma_lsp.app.warming.RETRY_S", 0.01)


async def started(root: Path, make: Any, host: Silence | None = None) -> tuple[App, Workspace]:
    app = App(make, host or Silence(), idle_s=0.0)
    app.add_folder(root, root.name)
    await app.start()
    return app, app.workspaces[0]


async def test_a_reading_that_failed_is_tried_again(shop: Path) -> None:
    """A batch that was refused, an engine in trouble and a bug of ours: nobody has to do anything."""
    host = Recorder()
    engine = Failing(DecodeFailed("refused; rebuilt"), EngineError("full; lower it"), ZeroDivisionError("bug"))
    app, workspace = await started(shop, factory(engine), host)
    await until(lambda: workspace.phase is Phase.READY)
    assert not engine.errors
    assert workspace.error == ""
    assert [message.split(";")[0] for message in host.warnings] == ["refused", "full", "reading shop failed: bug"]
    await app.close()


async def test_a_model_that_cannot_be_loaded_is_tried_when_somebody_asks(shop: Path) -> None:
    """Not by itself: it takes long and most of the memory. When it is there for an answer, the folder is read."""
    tries = 0

    async def make(settings: Settings) -> EngineClient:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise ModelTooLarge("no memory; choose a smaller one")
        return ScriptedEngine("x")

    app, workspace = await started(shop, make)
    await until(lambda: workspace.phase is Phase.FAILED)
    retype(app, open_in(app, shop, "shop/cart.py"), "x = 1\n")
    await asyncio.sleep(0.05)
    assert tries == 1
    assert workspace.phase is Phase.FAILED

    async def nothing(ctx: object) -> None:
        """Only the model is wanted."""

    await app.answer(workspace, nothing)
    await until(lambda: workspace.phase is Phase.READY)
    assert tries == 2
    await app.close()


class Reborn(LocalClient):
    """Its engine dies and another one comes, as `SocketClient` does it."""

    def again(self, engine: Engine) -> None:
        self.lost("the engine has stopped; it is started again")
        self._engine = engine
        engine.watch(self._reply)


def engine_of(**options: Any) -> Engine:
    engine = Engine(lambda progress: FakeBackend(n_slice=256, **options))
    engine.start()
    return engine


@pytest.mark.parametrize("n_ctx", [8192, 2048])
async def test_what_an_idle_engine_lost_is_read_again(shop: Path, n_ctx: int) -> None:
    """Nobody asked in between; the next engine may have a smaller context."""
    write_files(shop, {"shop/big.py": BIG})
    first, second = engine_of(n_ctx=8192), engine_of(n_ctx=n_ctx)
    clients: list[Reborn] = []

    async def make(settings: Settings) -> EngineClient:
        clients.append(Reborn(first))
        return clients[0]

    app, workspace = await started(shop, make)
    await until(lambda: workspace.phase is Phase.READY)
    clients[0].again(second)
    first.close()
    assert workspace.warmed_tokens == 0
    await until(lambda: workspace.phase is not Phase.READY)
    await until(lambda: workspace.phase is Phase.READY)
    assert len(clients) == 1
    assert (await clients[0].status()).resident[workspace.key] >= workspace.warmed_tokens > 0
    ctx = app.context(workspace)
    assert ctx is not None
    assert ctx.resident.layout.budget < n_ctx
    question = (*ctx.resident.head(), Segment(Region.REQUEST, "?"))
    assert (await gather(clients[0], workspace.key, question, GenerateOptions(max_tokens=2))).reason
    await app.close()


async def test_a_closed_engine_is_not_read_into(shop: Path) -> None:
    """A client that we let go has lost nothing."""
    tries = 0

    async def make(settings: Settings) -> EngineClient:
        nonlocal tries
        tries += 1
        return LocalClient(engine_of(n_ctx=8192))

    app, workspace = await started(shop, make)
    await until(lambda: workspace.phase is Phase.READY)
    await app.engine.close()
    await asyncio.sleep(0.05)
    assert tries == 1
    assert workspace.phase is Phase.READY
    await app.close()


async def test_what_another_folder_took_the_place_of_is_read_again(shop: Path, tmp_path: Path) -> None:
    """When an answer had to be given without it, and not before."""
    write_files(shop, {"shop/big.py": BIG})
    engine = engine_of(n_ctx=8192, n_trunks=1)
    clients: list[LocalClient] = []

    async def make(settings: Settings) -> EngineClient:
        clients.append(LocalClient(engine))
        return clients[0]

    app, workspace = await started(shop, make)
    await until(lambda: workspace.phase is Phase.READY)
    outside = write_files(tmp_path / "outside", {"os.py": "import sys\n"})
    uri = open_in(app, outside, "os.py")
    await until(lambda: len(app.workspaces) == 2 and all(w.phase is Phase.READY for w in app.workspaces))
    app.close_document(uri)
    assert workspace.key not in (await clients[0].status()).resident
    ctx = app.context(workspace)
    assert ctx is not None
    near = (Segment(Region.REQUEST, "def f"),)
    options = GenerateOptions(max_tokens=1, early=(*ctx.frame.head, *near), early_over=200)
    answer = await gather(clients[0], workspace.key, (*ctx.resident.head(), *near), options)
    assert answer.cost.early
    await until(lambda: workspace.phase is not Phase.READY)
    await until(lambda: workspace.phase is Phase.READY)
    before = workspace.resident
    answer = await gather(clients[0], workspace.key, (*ctx.resident.head(), *near), options)
    assert not answer.cost.early
    clients[0].on_early(workspace.key)  # it was for another reason: the prompt is there
    await asyncio.sleep(0.05)
    assert workspace.resident is before
    await app.close()


def laid_out(workspace: Workspace) -> None:
    assert workspace.resident
    workspace.start_resident(workspace.resident.layout, workspace.index, workspace.resident.frame)


def looked_elsewhere(workspace: Workspace) -> None:
    workspace.look_at(sorted(FILES)[-1], 0)


@pytest.mark.parametrize("moved", [laid_out, looked_elsewhere])
async def test_what_is_prepared_ends_with_the_prompt_it_stands_on(
    shop: Path, moved: Callable[[Workspace], None]
) -> None:
    """Else the engine would read the old one again, behind the new one."""
    app, workspace, _ = await running(shop, ScriptedEngine("x"))
    workspace.look_at(sorted(FILES)[0], 0)
    ctx = app.context(workspace)
    assert ctx is not None
    generations = ctx.memory.generations
    generations.look_ahead(Origin(path=sorted(FILES)[0], before="", after="", files={}), "x", asyncio.sleep(60))
    await asyncio.sleep(0)
    assert generations.busy
    moved(workspace)
    await asyncio.sleep(0)
    assert not generations.busy
    await app.close()


STALE = "".join(f"def rate{n}(weight):\n    return weight * {n} + {n * n}\n\n\n" for n in range(80))


class Counting(ScriptedEngine):
    """Counts when the test lets it, and remembers how often it read."""

    def __init__(self) -> None:
        super().__init__("x")
        self.go, self.counting = asyncio.Event(), asyncio.Event()
        self.go.set()
        self.reads = 0

    async def count(self, segments: Any) -> list[int]:
        self.counting.set()
        await self.go.wait()
        return await super().count(segments)

    async def warm(
        self, workspace: str, prompt: Any, on_progress: Callable[[Progress], None], *, moves: bool = False
    ) -> Any:
        self.reads += 1
        return await super().warm(workspace, prompt, on_progress, moves=moves)


async def test_what_is_due_at_once_does_not_wait_until_nobody_types(shop: Path) -> None:
    """A new layout was waiting for a pause when other settings came."""
    engine = Counting()
    app, workspace, _ = await running(shop, engine, idle_s=3600)
    (shop / "shop/rates.py").write_text(STALE)
    app.files_changed([shop / "shop/rates.py"])
    await until(lambda: workspace.resident is not None and workspace.resident.stale)
    await asyncio.sleep(0.01)
    with workspace.asking():
        await app.configure([client_source(Strength.INITIALIZATION_OPTIONS, {"index": {"budget_tokens": 3000}})])
        await until(lambda: _budget(workspace) <= 3000 and workspace.phase is Phase.READY)
    await app.close()


async def test_a_new_layout_waits_for_an_answer_that_began_while_it_was_planned(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its requests share one head, which the layout would take away between them."""
    monkeypatch.setattr(Resident, "foldable", False)
    engine = Counting()
    app, workspace, _ = await running(shop, engine, idle_s=0.0)
    engine.go.clear()
    engine.counting.clear()
    (shop / "shop/rates.py").write_text(STALE)
    app.files_changed([shop / "shop/rates.py"])
    await engine.counting.wait()
    with workspace.asking():
        layout = workspace.resident and workspace.resident.layout
        engine.go.set()
        for _ in range(20):
            await asyncio.sleep(0.005)
        assert workspace.resident
        assert workspace.resident.layout is layout
    await until(lambda: engine.reads == 2 and workspace.phase is Phase.READY)
    await app.close()


async def test_a_folder_that_was_closed_costs_the_others_nothing(shop: Path, tmp_path: Path) -> None:
    """An answer about it came too late; the engine is well."""
    engine = Counting()
    app, workspace, _ = await running(shop, engine)
    other = write_files(tmp_path / "other", {"os.py": "import sys\n"})
    app.add_folder(other, "other")
    await until(lambda: all(w.phase is Phase.READY for w in app.workspaces))
    closed = next(w for w in app.workspaces if w is not workspace)
    await app.remove_folder(other)
    before = engine.reads

    async def ask(ctx: object) -> None:
        """Is not asked."""

    with pytest.raises(EngineUnavailable):
        await app.answer(closed, ask)
    for _ in range(20):
        await asyncio.sleep(0.005)
    assert (engine.reads, workspace.phase) == (before, Phase.READY)
    assert workspace.warmed_tokens > 0
    await app.close()


def _budget(workspace: Workspace) -> int:
    assert workspace.resident is not None
    return workspace.resident.layout.budget
