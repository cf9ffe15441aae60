"""Apps on a folder for the tests: one that runs, a host that remembers, and a way to wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gemma_lsp.app import App, Silence
from gemma_lsp.app.workspace import Phase, Workspace
from gemma_lsp.text import PositionEncoding
from gemma_lsp.workspace.mirror import RawChange
from tests.support.scripted import ScriptedEngine
from tests.support.sessions import factory

UTF32 = PositionEncoding.UTF32


class View:
    """Remembers what a task said."""

    def __init__(self, title: str, told: list[tuple[str, str]]) -> None:
        self._title, self._told = title, told

    def report(self, message: str, percentage: int | None = None) -> None:
        self._told.append((self._title, message))

    def end(self, message: str) -> None:
        self._told.append((self._title, message))


class Recorder(Silence):
    """A host that remembers."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.tasks: list[str] = []
        self.cancels: dict[str, Callable[[], object]] = {}
        self.costs: list[str] = []
        self.told: list[tuple[str, str]] = []

    def begin_task(self, title: str, cancel: Callable[[], object] | None = None) -> Any:
        self.tasks.append(title)
        if cancel is not None:
            self.cancels[title] = cancel
        return View(title, self.told)

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def answered(self, kind: str, cost: Any, reason: str) -> None:
        self.costs.append(kind)


async def until(found: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not found():
            await asyncio.sleep(0.005)


async def running(root: Path, engine: ScriptedEngine, **options: Any) -> tuple[App, Workspace, Recorder]:
    """An app on one folder whose prompt is resident."""
    host = Recorder()
    app = App(factory(engine), host, **options)
    app.add_folder(root, root.name)
    await app.start()
    (workspace,) = app.workspaces
    await until(lambda: workspace.phase is Phase.READY)
    return app, workspace, host


def open_in(app: App, root: Path, path: str, text: str | None = None) -> str:
    """Opens a file as it is on disk, or with another text; returns its URI."""
    file = root / path
    app.open(file.as_uri(), file, "python", 1, file.read_text() if text is None else text)
    return file.as_uri()


def retype(app: App, uri: str, text: str, version: int = 2) -> None:
    """Changes all of a document."""
    app.change(uri, version, [RawChange(None, text)], UTF32)
