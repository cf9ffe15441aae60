"""What was told goes back into the body where the engine can move cells, and is read exactly when nobody works."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gemma_lsp.app import App
from gemma_lsp.app import warming as warming_module
from gemma_lsp.app.workspace import Phase, Workspace
from gemma_lsp.backends.fake import FakeBackend
from gemma_lsp.config.load import Strength, client_source
from gemma_lsp.engine.asking import LocalClient
from gemma_lsp.engine.core import Engine
from gemma_lsp.engine.messages import Cost
from gemma_lsp.kv.splice import BEFORE
from gemma_lsp.prompt import resident as resident_module
from gemma_lsp.prompt.resident import Resident
from gemma_lsp.workspace.mirror import RawChange
from tests.support.apps import UTF32, Recorder, until
from tests.support.sessions import factory, write_files

PARTS = {f"part_{n:02}.py": f"def part_{n:02}(weight, rate):\n    return weight * rate + {n}\n" for n in range(24)}
MORE = "".join(f"    weight += {n} * rate\n" for n in range(8))


class Costs(Recorder):
    """Also remembers what each reading took."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[Cost] = []

    def answered(self, what: str, cost: Cost, reason: str) -> None:
        super().answered(what, cost, reason)
        if what == "warm":
            self.read.append(cost)


@pytest.fixture(params=[0, 48], ids=["plain", "windowed"])
def backend(request: pytest.FixtureRequest) -> FakeBackend:
    return FakeBackend(n_ctx=4096, n_swa=request.param, n_slice=256, can_be_moved=True)


@pytest.fixture
def host() -> Costs:
    return Costs()


@pytest.fixture
def splices() -> bool:
    return True


@pytest.fixture
async def app(
    tmp_path: Path, backend: FakeBackend, host: Costs, splices: bool, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[App]:
    monkeypatch.setattr(resident_module, "STALE_TOKENS", 10)
    monkeypatch.setattr(warming_module, "TELL_TOKENS", 4000)
    write_files(tmp_path, PARTS)
    engine = Engine(lambda progress: backend)
    client = LocalClient(engine)
    engine.start()
    app = App(factory(client), host, idle_s=0.02)
    await app.configure([client_source(Strength.INITIALIZATION_OPTIONS, {"engine": {"splices": splices}})])
    app.add_folder(tmp_path, "parts")
    await app.start()
    await until(lambda: app.workspaces[0].phase is Phase.READY and backend.can.shift == splices)
    yield app
    await app.close()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What an engine was asked about that would have to read everything."""
    prompts: list[object] = []

    async def reach(self: LocalClient, workspace: str, prompt: object) -> Cost:
        prompts.append(prompt)
        return Cost(exact=True)

    monkeypatch.setattr(LocalClient, "reach", reach)
    return prompts


def edit(app: App, path: str, text: str, version: int = 2) -> Workspace:
    (workspace,) = app.workspaces
    assert workspace.root
    file = workspace.root / path
    if version == 2:
        app.open(file.as_uri(), file, "python", 1, PARTS[path])
    app.change(file.as_uri(), version, [RawChange(None, text)], UTF32)
    other = workspace.root / "part_20.py"  # the hole goes elsewhere: what was edited becomes an erratum
    app.open(other.as_uri(), other, "python", 1, PARTS["part_20.py"])
    app.change(other.as_uri(), 2, [RawChange(None, PARTS["part_20.py"] + "\n")], UTF32)
    return workspace


def again(app: App, path: str, text: str, number: int) -> None:
    """One more file is changed, and left: it becomes an erratum."""
    (workspace,) = app.workspaces
    assert workspace.root
    file, other = workspace.root / path, workspace.root / "part_20.py"
    app.open(file.as_uri(), file, "python", 1, PARTS[path])
    app.change(file.as_uri(), 2, [RawChange(None, text)], UTF32)
    app.change(other.as_uri(), 2 + number, [RawChange(None, PARTS["part_20.py"] + "\n" * (1 + number))], UTF32)


def shown(workspace: Workspace) -> str:
    assert workspace.resident
    return "".join(segment.visible for segment in workspace.resident.head())


async def test_what_was_told_goes_back_into_the_body_and_is_read_exactly_later(
    app: App, backend: FakeBackend, host: Costs
) -> None:
    """For what it is worth itself, at its own place; a pause later nothing is approximate any more."""
    before = len(host.read)
    workspace = edit(app, "part_03.py", PARTS["part_03.py"].replace("    return", MORE + "    return"))
    assert workspace.resident
    assert workspace.resident.errata
    await until(lambda: len(host.read) > before and workspace.phase is Phase.READY)
    folded = host.read[before]
    assert not folded.exact
    assert folded.evaluated < 300 + (2 * BEFORE if backend.info.n_swa else 0)
    assert folded.reused > 1000
    assert "weight += 7" in shown(workspace)
    await until(lambda: len(host.read) > before + 1 and workspace.phase is Phase.READY)
    assert host.read[before + 1].exact
    assert not any(backend.shifts(0).values())
    assert shown(workspace).count("weight += 7") == 1


async def test_what_a_question_elsewhere_leaves_behind_is_folded_too(app: App, host: Costs) -> None:
    """Nobody types after it: the place that was edited last is told from then on."""
    (workspace,) = app.workspaces
    assert workspace.root
    before, file = len(host.read), workspace.root / "part_03.py"
    app.open(file.as_uri(), file, "python", 1, PARTS["part_03.py"])
    text = PARTS["part_03.py"].replace("    return", MORE + "    return")
    app.change(file.as_uri(), 2, [RawChange(None, text)], UTF32)
    workspace.look_at("part_20.py", 0)
    await until(lambda: len(host.read) > before and workspace.phase is Phase.READY)
    assert not host.read[before].exact


async def test_what_the_engine_cannot_do_cheaply_is_told_as_before(app: App, host: Costs, asked: list[object]) -> None:
    """It is asked once for what was told, nothing is read, and the errata stay."""
    before = len(host.read)
    workspace = edit(app, "part_03.py", PARTS["part_03.py"].replace("    return", MORE + "    return"))
    await until(lambda: bool(asked))
    assert workspace.root
    app.change((workspace.root / "part_20.py").as_uri(), 3, [RawChange(None, "x = 1\n")], UTF32)
    for _ in range(20):  # ten times as long as it waits for quiet
        await asyncio.sleep(0.01)
    assert (len(asked), len(host.read)) == (1, before)
    assert workspace.resident
    assert workspace.resident.errata


@pytest.mark.parametrize("splices", [False])
async def test_it_can_be_switched_off(app: App, backend: FakeBackend, host: Costs) -> None:
    """Then much that was told is laid out anew and read, and it is not even tried whether cells can be moved."""
    before = len(host.read)
    workspace = edit(app, "part_03.py", PARTS["part_03.py"].replace("    return", 10 * MORE + "    return"))
    await until(lambda: len(host.read) > before and workspace.phase is Phase.READY)
    assert host.read[before].exact
    assert not backend.can.shift


async def test_what_cannot_be_folded_and_is_much_is_laid_out_anew(app: App, host: Costs, asked: list[object]) -> None:
    """The engine is asked first, and when it would have to read everything, a new layout is read at once."""
    before = len(host.read)
    workspace = edit(app, "part_03.py", PARTS["part_03.py"].replace("    return", 5 * MORE + "    return"))
    await until(lambda: len(host.read) > before and workspace.phase is Phase.READY)
    assert asked
    assert workspace.resident
    assert workspace.resident.errata == ()


async def test_a_fold_that_was_refused_once_makes_no_later_one_rarer(
    app: App, backend: FakeBackend, host: Costs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was told then stands in the body now, so the next change is a new one."""
    monkeypatch.setattr(warming_module, "REPAIR_AFTER", 10_000)
    real, refused = LocalClient.reach, [0]

    async def reach(self: LocalClient, workspace: str, prompt: Any) -> Cost:
        refused[0] += 1
        return Cost(exact=True) if refused[0] == 1 else await real(self, workspace, prompt)

    monkeypatch.setattr(LocalClient, "reach", reach)
    monkeypatch.setattr(Resident, "stale", False)
    workspace = edit(app, "part_03.py", PARTS["part_03.py"].replace("    return", MORE + "    return"))
    await until(lambda: refused[0] == 1)
    before = len(host.read)
    again(app, "part_04.py", PARTS["part_04.py"].replace("    return", MORE + "    return"), 1)
    await until(lambda: len(host.read) == before + 1 and workspace.phase is Phase.READY)
    again(app, "part_05.py", PARTS["part_05.py"].replace("    return", MORE + "    return"), 2)
    await until(lambda: len(host.read) == before + 2 and workspace.phase is Phase.READY)
    assert not host.read[-1].exact
    assert refused[0] == 3


async def test_a_fold_waits_for_an_answer_that_began_while_it_was_planned(
    app: App, host: Costs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its requests share one head, which the fold would take away between them."""
    real, answer = LocalClient.reach, contextlib.ExitStack()
    (workspace,) = app.workspaces

    async def reach(self: LocalClient, key: str, prompt: Any) -> Cost:
        cost = await real(self, key, prompt)
        if not asked:
            answer.enter_context(workspace.asking())
        asked.append(prompt)
        return cost

    asked: list[object] = []
    monkeypatch.setattr(LocalClient, "reach", reach)
    before = len(host.read)
    edit(app, "part_03.py", PARTS["part_03.py"].replace("    return", MORE + "    return"))
    resident = workspace.resident
    await until(lambda: bool(asked))
    for _ in range(20):
        await asyncio.sleep(0.005)
    assert workspace.resident is resident
    answer.close()
    await until(lambda: len(host.read) > before and workspace.phase is Phase.READY)
    assert not host.read[before].exact


async def test_what_changes_on_disk_is_waited_for_before_it_is_folded(app: App, asked: list[object]) -> None:
    """A checkout comes in several batches, and nobody types meanwhile."""
    (workspace,) = app.workspaces
    assert workspace.root
    (member,) = app._members.values()
    member.warming._quiet.idle_s = 3600
    changed = workspace.root / "part_03.py"
    changed.write_text(PARTS["part_03.py"].replace("    return", MORE + "    return"))
    app.files_changed([changed])
    await until(lambda: workspace.resident is not None and workspace.resident.foldable)
    for _ in range(20):
        await asyncio.sleep(0.005)
    assert not asked
