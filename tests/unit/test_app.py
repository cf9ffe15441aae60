"""The app without a protocol: who owns a document, what is read again, what is laid out again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemma_lsp.app import App, Silence
from gemma_lsp.app.engine_host import EngineHost, EngineState
from gemma_lsp.app.laying import budget
from gemma_lsp.app.places import deepest_root, loose_path
from gemma_lsp.app.tasks import unless_stopped
from gemma_lsp.app.threads import in_thread
from gemma_lsp.app.workspace import Phase, Workspace, edit_end
from gemma_lsp.base.cancel import CancelToken
from gemma_lsp.base.errors import Cancelled, EngineUnavailable, ModelMissing
from gemma_lsp.config.load import Strength, client_source
from gemma_lsp.config.schema import Settings
from gemma_lsp.engine.asking import AskingClient
from gemma_lsp.engine.messages import Loading, Progress, Ready
from gemma_lsp.features.context import FeatureContext
from gemma_lsp.prompt.layout import Form
from gemma_lsp.prompt.resident import Resident
from gemma_lsp.text import Text
from gemma_lsp.workspace.mirror import RawChange
from tests.support.apps import UTF32, Recorder, running, until
from tests.support.scripted import ScriptedEngine, scripted_model
from tests.support.sessions import FILES, factory, write_files

# -- small parts -------------------------------------------------------------------------------------------------------


@given(st.text("ab\n", max_size=12), st.text("ab\n", max_size=12))
def test_behind_the_end_of_an_edit_everything_reads_as_it_did(before: str, after: str) -> None:
    """The place is in the new text, and no later than needed."""
    end = edit_end(before, Text(after))
    rest = after[end:]
    assert before.endswith(rest)
    assert end == 0 or len(rest) == len(before) or after[end - 1 :] != before[len(before) - len(rest) - 1 :]


def test_a_document_belongs_to_the_deepest_folder() -> None:
    """And to none outside all of them."""
    roots = [Path("/a"), Path("/a/b"), Path("/ab")]
    assert deepest_root(Path("/a/b/c.py"), roots) == Path("/a/b")
    assert deepest_root(Path("/a/c.py"), roots) == Path("/a")
    assert deepest_root(Path("/abc/c.py"), roots) is None
    assert deepest_root(None, roots) is None


@pytest.mark.parametrize(
    ("uri", "path", "language", "taken", "expected"),
    [
        ("untitled:Untitled-1", None, "python", (), "Untitled-1.py"),
        ("untitled:Untitled-1", None, "markdown", (), "Untitled-1"),
        ("file:///x/a.py", Path("/x/a.py"), "python", (), "a.py"),
        ("file:///x/a.py", Path("/x/a.py"), "python", ("a.py", "2/a.py"), "3/a.py"),
        ("", None, "", (), "untitled"),
    ],
)
def test_a_document_without_a_folder_has_a_path(
    uri: str, path: Path | None, language: str, taken: tuple[str, ...], expected: str
) -> None:
    """Its own, and with the ending of its language."""
    assert loose_path(uri, path, language, taken) == expected


def test_the_budget_fits_the_context() -> None:
    """What the settings want, but never more than the context holds beside the requests."""
    model = scripted_model()
    assert budget(model, 0) == model.n_ctx - model.n_tail
    assert budget(model, 100) == 100
    assert budget(model, 10**9) == model.n_ctx - model.n_tail


async def test_a_thread_is_told_to_stop() -> None:
    """Cancelling the task reaches the work through its token; a result and an error come back."""
    begun, stopped = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def work(cancel: CancelToken) -> None:
        loop.call_soon_threadsafe(begun.set)
        try:
            while True:
                cancel.check()
        except Cancelled:
            loop.call_soon_threadsafe(stopped.set)

    task = asyncio.create_task(in_thread(work))
    await asyncio.wait_for(begun.wait(), 20)
    task.cancel()
    await asyncio.wait_for(stopped.wait(), 20)
    assert await in_thread(lambda _: 5) == 5
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda _: 1 / 0)


async def test_work_that_a_person_stopped_is_no_error() -> None:
    """None for the one who waits; but the one who waits can be cancelled, too."""
    task: asyncio.Task[bool] = asyncio.create_task(asyncio.Event().wait())
    asyncio.get_running_loop().call_soon(task.cancel)
    assert await unless_stopped(task) is None
    inner: asyncio.Task[bool] = asyncio.create_task(asyncio.Event().wait())
    outer = asyncio.create_task(unless_stopped(inner))
    await asyncio.sleep(0)
    outer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await outer
    await asyncio.wait([inner])
    assert inner.cancelled()


# -- the engine --------------------------------------------------------------------------------------------------------


async def test_many_who_wait_start_one_engine() -> None:
    """And a failure is forgotten when somebody asks again."""
    tries = 0

    async def make(settings: Settings) -> Any:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise ModelMissing("no model; set model.path")
        return ScriptedEngine("x")

    host = EngineHost(make, Silence())
    await host.use(Settings())
    assert host.state is EngineState.STOPPED
    failures = await asyncio.gather(host.ready(), host.ready(), return_exceptions=True)
    assert [type(failure) for failure in failures] == [ModelMissing, ModelMissing]
    assert (tries, host.state, host.error) == (1, EngineState.FAILED, "no model; set model.path")
    first, second = await asyncio.gather(host.ready(), host.ready())
    assert first == second
    assert (tries, host.state) == (2, EngineState.READY)
    await host.close()
    assert host.state is EngineState.STOPPED


async def test_a_bug_in_the_factory_is_an_engine_that_is_not_there() -> None:
    """Nobody who waits sees anything else than the errors of the interface."""

    async def make(settings: Settings) -> Any:
        raise RuntimeError("bug")

    host = EngineHost(make, Silence())
    await host.use(Settings())
    with pytest.raises(EngineUnavailable, match="bug"):
        await host.ready()


class Loader(AskingClient):
    """A client whose engine says what the test says."""

    def _send(self, request: Any) -> None:
        """Nobody listens."""


async def test_a_model_that_takes_a_while_is_seen_coming() -> None:
    """One task from the first fraction to the end; none for a model that is there at once."""
    client, recorder = Loader(), Recorder()
    host = EngineHost(factory(client), recorder)
    await host.use(Settings())
    waiting = asyncio.create_task(host.ready())
    await until(lambda: host.state is EngineState.STARTING and host.client is not None)
    assert recorder.tasks == []
    client.deliver(Loading(fraction=0.25))
    client.deliver(Loading(fraction=0.75))
    client.deliver(Ready(model=scripted_model()))
    assert await waiting == (client, scripted_model())
    assert recorder.told == [("loading the model", said) for said in ("25%", "75%", "loaded")]


async def test_an_engine_that_stopped_is_waited_for_and_then_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its client may bring it back; a client that has given up is replaced."""
    monkeypatch.setattr("gemma_lsp.app.engine_host.COME_BACK_LIMIT_S", 0.05)
    clients = [Loader(), Loader()]
    left = list(clients)

    async def make(settings: Settings) -> Any:
        left[0].deliver(Ready(model=scripted_model()))
        return left.pop(0)

    host = EngineHost(make, Silence())
    await host.use(Settings())
    assert (await host.ready())[0] is clients[0]
    clients[0].lost("it stopped")
    host.lost()
    clients[0].deliver(Ready(model=scripted_model()))
    assert (await host.ready())[0] is clients[0]
    clients[0].lost("it stopped for good")
    host.lost()
    with pytest.raises(EngineUnavailable, match="started anew"):
        await host.ready()
    assert (await host.ready())[0] is clients[1]


# -- files -------------------------------------------------------------------------------------------------------------


async def test_the_editor_wins_over_the_disk(shop: Path) -> None:
    """What is open reads as in the editor, before and after the first scan; closed, as on disk."""
    app = App(factory(ScriptedEngine("x")), Silence())
    app.add_folder(shop, "shop")
    (workspace,) = app.workspaces
    uri = (shop / "shop/rates.py").as_uri()
    app.open(uri, shop / "shop/rates.py", "python", 1, "edited = 1\n")
    await app.start()
    await until(lambda: workspace.phase is Phase.READY)
    assert workspace.index.files["shop/rates.py"].text == Text("edited = 1\n")
    app.files_changed([shop / "shop/rates.py"])
    app.change(uri, 2, [RawChange(None, "edited = 2\n")], UTF32)
    assert workspace.snapshot.files["shop/rates.py"] == Text("edited = 2\n")
    app.close_document(uri)
    await until(lambda: workspace.index.files["shop/rates.py"].text == Text(FILES["shop/rates.py"]))
    await app.close()


async def test_a_new_file_is_indexed_before_it_is_saved(shop: Path) -> None:
    """And gone when it is closed unsaved."""
    app, workspace, _ = await running(shop, ScriptedEngine("x"))
    path = shop / "shop/new.py"
    app.open(path.as_uri(), path, "python", 1, "def new():\n    return 1\n")
    assert workspace.index.definitions("new")
    app.close_document(path.as_uri())
    await until(lambda: "shop/new.py" not in workspace.index.files)
    await app.close()


@pytest.mark.parametrize("name", ["hidden.py", "venv/lib.py", "notes.js", ".env"])
async def test_what_is_left_out_of_the_scan_is_left_out_when_opened(shop: Path, name: str) -> None:
    """Ignored, installed, of another kind, secret: opening it changes nothing."""
    write_files(shop, {".gitignore": "hidden.py\n", name: "x = 1\n"})
    app, workspace, _ = await running(shop, ScriptedEngine("x"))
    app.open((shop / name).as_uri(), shop / name, "python", 1, "x = 2\n")
    app.change((shop / name).as_uri(), 2, [RawChange(None, "x = 3\n")], UTF32)
    assert app.place((shop / name).as_uri()) is None
    assert name not in workspace.index.files
    assert name in workspace.snapshot.skipped
    await app.close()


async def test_changed_rules_mean_a_new_scan(shop: Path) -> None:
    """A .gitignore that is written, and a setting of the repository that changes."""
    app, workspace, _ = await running(shop, ScriptedEngine("x"))
    (shop / ".gitignore").write_text("cart.py\n")
    app.files_changed([shop / ".gitignore"])
    await until(lambda: "shop/cart.py" not in workspace.index.files)
    (shop / "pyproject.toml").write_text('[tool.gemma-lsp.index]\nexclude = ["rates.py"]\n')
    app.files_changed([shop / "pyproject.toml"])
    await until(lambda: "shop/rates.py" not in workspace.index.files)
    await app.close()


async def test_nothing_is_told_of_a_change_to_a_document_that_is_not_open(shop: Path) -> None:
    """A change and a close out of nowhere are logged, and that is all."""
    app, workspace, _ = await running(shop, ScriptedEngine("x"))
    before = workspace.index
    app.change("file:///never", 1, [RawChange(None, "x")], UTF32)
    app.close_document("file:///never")
    assert workspace.index is before
    await app.close()


# -- the prompt --------------------------------------------------------------------------------------------------------


class Reader(ScriptedEngine):
    """Remembers what it was to make resident; `hold` keeps it reading."""

    def __init__(self) -> None:
        super().__init__("x")
        self.read: list[str] = []
        self.go = asyncio.Event()
        self.go.set()

    async def warm(
        self, workspace: str, prompt: Any, on_progress: Callable[[Progress], None], *, moves: bool = False
    ) -> Any:
        self.read.append("".join(segment.text for segment in prompt))
        on_progress(Progress(id="1", done=1, total=10, tokens_per_s=1.0))
        await self.go.wait()
        return await super().warm(workspace, prompt, on_progress, moves=moves)


async def test_the_whole_repository_becomes_resident(shop: Path) -> None:
    """Every file, once, with progress and at a cost."""
    engine = Reader()
    app, workspace, host = await running(shop, engine)
    assert len(engine.read) == 1
    for text in FILES.values():
        assert engine.read[0].count(text) == 1
    assert workspace.warmed_tokens > 0
    assert host.tasks == ["indexing shop", "reading shop"]
    assert host.costs == ["warm"]
    await app.close()


async def test_answers_are_possible_while_the_repository_is_read(shop: Path) -> None:
    """The context is there before the reading ends; stopping the reading leaves it."""
    engine = Reader()
    engine.go.clear()
    host = Recorder()
    app = App(factory(engine), host)
    app.add_folder(shop, "shop")
    await app.start()
    (workspace,) = app.workspaces
    await until(lambda: workspace.phase is Phase.WARMING and "reading shop" in host.cancels)
    assert app.context(workspace) is not None
    host.cancels["reading shop"]()
    await until(lambda: workspace.phase is Phase.PAUSED)
    assert app.context(workspace) is not None
    await app.close()


async def test_an_edit_is_told_behind_the_body_and_not_read_again(shop: Path) -> None:
    """The layout stays; the next prompt tells the change."""
    engine = Reader()
    app, workspace, _ = await running(shop, engine)
    rates, cart = shop / "shop/rates.py", shop / "shop/cart.py"
    app.open(rates.as_uri(), rates, "python", 1, FILES["shop/rates.py"])
    app.open(cart.as_uri(), cart, "python", 1, FILES["shop/cart.py"])
    app.change(rates.as_uri(), 2, [RawChange(None, "def rate(weight):\n    return weight * 4\n")], UTF32)
    app.change(cart.as_uri(), 2, [RawChange(None, FILES["shop/cart.py"] + "\nx = 1\n")], UTF32)
    assert workspace.resident is not None
    head = "".join(segment.visible for segment in workspace.resident.head())
    assert "weight * 4" in head
    assert "weight * 3" not in head
    assert len(engine.read) == 1
    await app.close()


async def test_a_prompt_that_has_become_stale_is_laid_out_again_when_it_is_quiet(shop: Path) -> None:
    """After much has changed: once, and the new body holds the changes."""
    engine = Reader()
    app, workspace, _ = await running(shop, engine, idle_s=0.0)
    rates = shop / "shop/rates.py"
    rates.write_text("".join(f"def rate{n}(weight):\n    return weight * {n} + {n * n}\n\n\n" for n in range(80)))
    app.files_changed([rates])
    await until(lambda: len(engine.read) == 2 and workspace.phase is Phase.READY)
    assert "rate79" in engine.read[1]
    assert workspace.resident is not None
    assert workspace.resident.errata == ()
    await app.close()


async def test_changes_too_many_to_wait_for_are_read_when_it_is_quiet(shop: Path) -> None:
    """Else every answer would be given without the repository, until a new layout is due."""
    write_files(shop, {f"shop/more{n}.py": f"def more{n}(weight):\n" + "    weight += 1\n" * 400 for n in range(6)})
    engine = Reader()
    app, workspace, _ = await running(shop, engine, idle_s=0.0)
    (shop / "shop/rates.py").write_text("def rate(weight):\n    return weight * 4\n")
    app.files_changed([shop / "shop/rates.py"])
    await until(lambda: "weight * 4" in "".join(s.visible for s in _resident(workspace).head()))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not engine.asked  # a small change is told with the next question
    (shop / "shop/new.py").write_text("def new(weight):\n" + "    weight -= 2\n" * 110)
    app.files_changed([shop / "shop/new.py"])
    await until(lambda: bool(engine.asked))
    told = "".join(segment.visible for segment in engine.asked[0].prompt)
    assert told.count("weight -= 2") == 110
    assert engine.asked[0].options.max_tokens == 0
    for _ in range(50):
        await asyncio.sleep(0)
    assert len(engine.asked) == len(engine.read) == 1
    await app.close()


async def test_changes_that_came_while_the_repository_was_read_are_read_after_it(shop: Path) -> None:
    """Nobody has to touch a key for it."""
    write_files(shop, {f"shop/more{n}.py": f"def more{n}(weight):\n" + "    weight += 1\n" * 400 for n in range(6)})
    engine = Reader()
    engine.go.clear()
    app = App(factory(engine), Silence(), idle_s=0.0)
    app.add_folder(shop, "shop")
    await app.start()
    (workspace,) = app.workspaces
    await until(lambda: bool(engine.read))
    (shop / "shop/new.py").write_text("def new(weight):\n" + "    weight -= 2\n" * 110)
    app.files_changed([shop / "shop/new.py"])
    await until(lambda: "weight -= 2" in "".join(s.visible for s in _resident(workspace).head()))
    engine.go.set()
    await until(lambda: bool(engine.asked))
    assert len(engine.read) == 1
    await app.close()


def _resident(workspace: Workspace) -> Resident:
    assert workspace.resident is not None
    return workspace.resident


async def test_a_new_layout_waits_for_the_answer_under_way(shop: Path) -> None:
    """A review asks several times with one head; the layout that would take it away comes afterwards."""
    engine = Reader()
    app, workspace, _ = await running(shop, engine, idle_s=0.0)
    go = asyncio.Event()

    async def ask(ctx: FeatureContext) -> int:
        await go.wait()
        return len(engine.read)

    answer = asyncio.create_task(app.answer(workspace, ask))
    rates = shop / "shop/rates.py"
    rates.write_text("".join(f"def rate{n}(weight):\n    return weight * {n} + {n * n}\n\n\n" for n in range(80)))
    app.files_changed([rates])
    await until(lambda: workspace.resident is not None and workspace.resident.stale)
    for _ in range(20):
        await asyncio.sleep(0)
    go.set()
    assert await answer == 1
    await until(lambda: len(engine.read) == 2 and workspace.phase is Phase.READY)
    await app.close()


async def test_a_small_budget_shows_outlines(shop: Path) -> None:
    """The settings' budget bounds the body; what does not fit in full stands as an outline or a line."""
    write_files(shop, {f"shop/more{n}.py": f"def more{n}(weight):\n" + "    weight += 1\n" * 60 for n in range(6)})
    app, workspace, _ = await running(shop, ScriptedEngine("x"))
    options = {"index": {"budget_tokens": 400}}
    await app.configure([client_source(Strength.INITIALIZATION_OPTIONS, options)])
    await until(lambda: workspace.resident is not None and workspace.resident.layout.budget <= 400)
    assert workspace.resident is not None
    forms = {entry.form for entry in workspace.resident.layout.entries}
    assert workspace.resident.layout.n_tokens <= 400
    assert forms - {Form.FULL}
    await app.close()


async def test_closing_in_the_middle_of_everything(shop: Path) -> None:
    """While the repository is being read; nothing is left running."""
    engine = Reader()
    engine.go.clear()
    app = App(factory(engine), Silence())
    app.add_folder(shop, "shop")
    await app.start()
    await until(lambda: engine.read)
    await app.close()
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    await asyncio.wait(left, timeout=5) if left else None
    assert not [task for task in left if not task.done()]
