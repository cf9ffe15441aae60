"""Files whose rules change: what is hidden leaves the prompt, what is shown again enters it, little is read anew."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from gemma_lsp.app import App, Silence
from gemma_lsp.app.disk import Disk
from gemma_lsp.app.workspace import Workspace
from gemma_lsp.config.schema import Settings
from gemma_lsp.text import Text
from gemma_lsp.workspace.rules import IgnoreRules
from gemma_lsp.workspace.snapshot import WorkspaceSnapshot
from gemma_lsp.workspace.watch import DiskChanges
from tests.support.apps import open_in, retype, running, until
from tests.support.scripted import ScriptedEngine
from tests.support.sessions import FILES, factory, write_files

RATES = "shop/rates.py"
TOKEN = 'TOKEN = "ghp_' + "a1B2" * 9 + '"\n'


def ignore(app: App, root: Path, patterns: str) -> None:
    (root / ".gitignore").write_text(patterns)
    app.files_changed([root / ".gitignore"])


def prompt(workspace: Workspace) -> str:
    resident = workspace.resident
    assert resident is not None
    hole = resident.hole.text.slice(resident.hole.span) if resident.hole else ""
    return "".join(segment.visible for segment in resident.head()) + hole


async def test_an_open_document_that_becomes_hidden_leaves_the_prompt(shop: Path) -> None:
    """With what was typed and not saved; typing on and closing does not bring it back."""
    app, workspace, _ = await running(shop, ScriptedEngine("x"))
    uri = open_in(app, shop, RATES)
    retype(app, uri, "UNSAVED = 1\n")
    assert "UNSAVED" in prompt(workspace)
    ignore(app, shop, "rates.py\n")
    await until(lambda: RATES not in workspace.index.files)
    assert app.place(uri) is None
    retype(app, uri, "UNSAVED = 2\n", 3)
    assert "UNSAVED" not in prompt(workspace)
    app.close_document(uri)
    (shop / "shop/more.py").write_text("more = 1\n")
    app.files_changed([shop / "shop/more.py"])
    await until(lambda: "shop/more.py" in workspace.index.files)
    assert RATES not in workspace.index.files
    assert workspace.snapshot.skipped[RATES] == "hidden by .gitignore"
    await app.close()


async def test_an_open_document_that_is_no_longer_hidden_enters_the_prompt(shop: Path) -> None:
    """As the editor has it; and one that is opened later stays."""
    write_files(shop, {".gitignore": "rates.py\ngen.py\n", "gen.py": "gen = 1\n"})
    app, workspace, _ = await running(shop, ScriptedEngine("x"))
    uri = open_in(app, shop, RATES, "UNSAVED = 1\n")
    assert app.place(uri) is None
    ignore(app, shop, "\n")
    await until(lambda: app.place(uri))
    assert workspace.index.files[RATES].text == Text("UNSAVED = 1\n")
    other = open_in(app, shop, "gen.py", "UNSAVED = 2\n")
    assert app.place(other) is not None
    assert workspace.index.files["gen.py"].text == Text("UNSAVED = 2\n")
    await app.close()


async def test_a_document_that_is_closed_is_read_under_the_rules_of_the_moment(shop: Path) -> None:
    """The ignore file was written, and nobody has said so yet."""
    app, workspace, _ = await running(shop, ScriptedEngine("x"))
    uri = open_in(app, shop, RATES)
    (shop / ".gitignore").write_text("rates.py\n")
    app.close_document(uri)
    await until(lambda: RATES not in workspace.index.files)
    await app.close()


async def test_a_document_that_was_refused_is_the_disks_again_when_it_is_closed(shop: Path) -> None:
    """A secret was typed and not saved."""
    app, workspace, _ = await running(shop, ScriptedEngine("x"))
    uri = open_in(app, shop, RATES)
    retype(app, uri, FILES[RATES] + TOKEN)
    assert RATES not in workspace.index.files
    app.close_document(uri)
    await until(lambda: RATES in workspace.index.files)
    assert workspace.index.files[RATES].text == Text(FILES[RATES])
    new = open_in(app, shop, "shop/new.py", TOKEN)
    assert "shop/new.py" in workspace.snapshot.skipped
    app.close_document(new)
    await until(lambda: "shop/new.py" not in workspace.snapshot.skipped)
    await app.close()


async def test_a_secret_that_is_open_stays_out_when_everything_is_read_again(shop: Path) -> None:
    """Although what is on disk could be shown: the two would be taken for one."""
    app, workspace, _ = await running(shop, ScriptedEngine("x"))
    retype(app, open_in(app, shop, RATES), FILES[RATES] + TOKEN)
    ignore(app, shop, "cart.py\n")
    await until(lambda: "shop/cart.py" not in workspace.index.files)
    assert RATES not in workspace.index.files
    await app.close()


async def test_what_reads_as_it_did_is_not_parsed_again(shop: Path) -> None:
    """So that after a new scan an edit costs as little as before: the prompt looks at what is another object."""
    app, workspace, _ = await running(shop, ScriptedEngine("x"))
    uri = open_in(app, shop, RATES)
    retype(app, uri, FILES[RATES] + "\nx = 1\n")
    before = workspace.index
    assert before.definitions("total")
    (shop / "shop/cart.py").write_text("def total(): ...\n")
    write_files(shop, {"shop/new.py": "def new(): ...\n"})
    ignore(app, shop, "*.log\n")
    await until(lambda: "shop/new.py" in workspace.index.files)
    after = workspace.index
    assert {path for path, parsed in after.files.items() if before.files.get(path) is not parsed} == {
        "shop/cart.py",
        "shop/new.py",
    }
    assert after.definitions("new")
    assert len(after.definitions("total")[0][1].places) == len(before.definitions("total")[0][1].places)
    retype(app, uri, FILES[RATES] + "\nx = 2\n", 3)
    assert workspace.resident is not None
    assert workspace.resident.changes.keys() <= {RATES, "shop/cart.py", "shop/new.py"}
    await app.close()


async def test_a_new_layout_does_not_wait_for_the_disk_to_be_quiet(shop: Path) -> None:
    """Something writes into the folder all the time: that is not somebody who types."""
    app, workspace, _ = await running(shop, ScriptedEngine("x"), idle_s=0.3)
    assert workspace.resident is not None
    layout = workspace.resident.layout
    (shop / RATES).write_text("".join(f"def rate{n}(w):\n    return w * {n} + {n * n}\n\n\n" for n in range(80)))
    app.files_changed([shop / RATES])
    noise = 0

    def laid_out() -> bool:
        nonlocal noise
        noise += 1
        (shop / "shop/noise.py").write_text(f"noise = {noise}\n")
        app.files_changed([shop / "shop/noise.py"])
        return workspace.resident is not None and workspace.resident.layout is not layout

    await until(laid_out)
    await app.close()


async def test_an_event_without_a_change_changes_nothing(shop: Path) -> None:
    """The same text, a file that never was, a reason that is known: the index stays the very same."""
    app, workspace, _ = await running(shop, ScriptedEngine("x"))
    before = workspace.index
    assert not workspace.disk_changed({RATES: Text(FILES[RATES]), "gone.py": None}, {})
    assert workspace.index is before
    assert workspace.disk_changed({RATES: Text("x = 1\n")}, {})
    assert workspace.disk_changed({}, {RATES: "a secret"})
    assert not workspace.disk_changed({}, {RATES: "a secret"})
    assert workspace.disk_changed({RATES: None}, {})
    await app.close()


def test_a_removed_folder_takes_its_files_along(tmp_path: Path) -> None:
    """And no others; what was left out of it is forgotten, too."""
    write_files(tmp_path, {"pkg2/c.py": "x = 1\n"})
    known = WorkspaceSnapshot(
        root=tmp_path,
        name="w",
        files={path: Text("x = 1\n") for path in ("a.py", "pkg/a.py", "pkg/sub/b.py", "pkg2/c.py")},
        skipped={"d.py": "a secret"},
    )
    found = Disk(tmp_path, Settings().index).read({"pkg", "a.py", "d.py", ".git/objects/1"}, known)
    assert found is not None
    assert found.changes == dict.fromkeys(["a.py", "d.py", "pkg/a.py", "pkg/sub/b.py"])
    assert found.skipped == {}


class Watch:
    """Stands in for the system's watcher: the test says what it saw."""

    def __init__(self) -> None:
        self.rules: Callable[[], IgnoreRules] | None = None
        self.seen: asyncio.Queue[DiskChanges] = asyncio.Queue()

    async def __call__(self, rules: Callable[[], IgnoreRules], *_: object) -> AsyncIterator[DiskChanges]:
        self.rules = rules
        while True:
            yield await self.seen.get()


async def test_our_own_watch_follows_rules_and_settings(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is no longer hidden is watched; what the repository's settings say counts at once."""
    write_files(shop, {".gitignore": "gen/\n", "gen/a.py": "a = 1\n"})
    watch = Watch()
    monkeypatch.setattr("gemma_lsp.app.member.watch", watch)
    app = App(factory(ScriptedEngine("x")), Silence(), watch_disk=True)
    app.add_folder(shop, "shop")
    await app.start()
    (workspace,) = app.workspaces
    await until(lambda: RATES in workspace.index.files and watch.rules)
    assert watch.rules is not None
    assert watch.rules().folder("gen") is not None
    (shop / ".gitignore").write_text("\n")
    watch.seen.put_nowait(DiskChanges(rescan=True))
    await until(lambda: "gen/a.py" in workspace.index.files)
    assert watch.rules().folder("gen") is None
    (shop / "pyproject.toml").write_text('[tool.gemma-lsp.index]\nexclude = ["rates.py"]\n')
    watch.seen.put_nowait(DiskChanges(changed=frozenset({"pyproject.toml"})))
    await until(lambda: RATES not in workspace.index.files)
    (shop / "pyproject.toml").write_text("[project]\nname = 'shop'\n")
    watch.seen.put_nowait(DiskChanges(rescan=True))  # of many changes it does not say which
    await until(lambda: RATES in workspace.index.files)
    await app.close()
