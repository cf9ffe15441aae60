"""Changes on disk arrive in batches: the state of the disk decides, and one test sees the real thing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gemma_lsp.workspace import watch as watching
from gemma_lsp.workspace.rules import IgnoreRules, ScanOptions
from gemma_lsp.workspace.watch import DiskChanges, gathered, watch

OPTIONS = ScanOptions()


def write(root: Path, *paths: str) -> IgnoreRules:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("x = 1\n")
    return IgnoreRules(root, OPTIONS)


def test_what_is_there_changed_and_what_is_not_was_removed(tmp_path: Path) -> None:
    """Whatever the events said; files of no interest leave no trace."""
    rules = write(tmp_path, "a.py", "pkg/b.py", "notes.json", "node_modules/c.py")
    changes = gathered(rules, ["a.py", "pkg/b.py", "gone.py", "gone_folder", "notes.json", "node_modules/c.py"])
    assert changes == DiskChanges(
        changed=frozenset({"a.py", "pkg/b.py"}), removed=frozenset({"gone.py", "gone_folder"})
    )


def test_a_folder_that_appeared_stands_for_its_files(tmp_path: Path) -> None:
    """One moved in as a whole sends no event for each file."""
    rules = write(tmp_path, "pkg/a.py", "pkg/sub/b.py", "node_modules/c.py")
    assert gathered(rules, ["pkg", "node_modules"]) == DiskChanges(changed=frozenset({"pkg/a.py", "pkg/sub/b.py"}))


def test_changed_rules_want_a_new_scan(tmp_path: Path) -> None:
    """An ignore file anywhere, even one that is gone."""
    assert gathered(write(tmp_path, "a.py"), ["a.py", "pkg/.gitignore"]) == DiskChanges(rescan=True)


def test_an_ignore_file_in_a_folder_that_is_left_out_changes_nothing(tmp_path: Path) -> None:
    """Tools write one into each folder of theirs."""
    rules = write(tmp_path, "a.py", ".gitignore")
    (tmp_path / ".gitignore").write_text("generated/\n")
    paths = [".ruff_cache/.gitignore", ".venv/.gitignore", "node_modules/x/.gitignore", "generated/.gitignore"]
    assert gathered(rules, [*paths, "a.py"]) == DiskChanges(changed=frozenset({"a.py"}))


def test_too_many_changes_want_a_new_scan(tmp_path: Path) -> None:
    """A branch switch is not followed file by file."""
    paths = [f"gone{n}.py" for n in range(watching._MAX_PATHS + 1)]
    assert gathered(write(tmp_path), paths) == DiskChanges(rescan=True)


async def test_a_written_file_is_seen_and_a_hidden_one_is_not(tmp_path: Path) -> None:
    """The watcher of the system, until it is told to stop."""
    rules, stop, problems = write(tmp_path, "a.py", "node_modules/b.py"), asyncio.Event(), list[str]()
    batches = watch(lambda: rules, stop, problems.append)
    seen: set[str] = set()

    async def follow() -> None:
        async for changes in batches:
            seen.update(changes.changed)
            if "c.py" in seen:
                stop.set()

    async def keep_writing() -> None:
        while not stop.is_set():  # the watcher may begin after the first write
            (tmp_path / "node_modules/b.py").write_text("x = 2\n")
            (tmp_path / "c.py").write_text("x = 2\n")
            await asyncio.wait([asyncio.ensure_future(stop.wait())], timeout=0.3)

    async with asyncio.timeout(30):
        await asyncio.gather(follow(), keep_writing())
    assert "c.py" in seen
    assert not any("node_modules" in path for path in seen)
    assert problems == []


async def test_a_folder_that_is_not_there_is_said_once(tmp_path: Path) -> None:
    """The stream ends; nothing raises."""
    problems: list[str] = []
    rules = IgnoreRules(tmp_path / "missing", OPTIONS)
    async with asyncio.timeout(30):
        batches = [changes async for changes in watch(lambda: rules, asyncio.Event(), problems.append)]
    assert batches == []
    assert len(problems) == 1
    assert problems[0].startswith(f"the folder {tmp_path / 'missing'} cannot be read")


async def test_a_system_that_refuses_to_watch_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Linux does when all its watches are taken."""

    def refuse(*_: object, **__: object) -> AsyncIterator[object]:
        raise OSError("OS file watch limit reached")

    monkeypatch.setattr(watching, "awatch", refuse)
    problems: list[str] = []
    rules = write(tmp_path)
    assert [changes async for changes in watch(lambda: rules, asyncio.Event(), problems.append)] == []
    assert len(problems) == 1
    assert "OS file watch limit reached" in problems[0]
