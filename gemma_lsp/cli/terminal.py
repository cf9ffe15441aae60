"""A person at a terminal as the app's host: progress bars and warnings on stderr, and a way to wait for the app."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from gemma_lsp.app import TaskView
from gemma_lsp.engine.messages import Cost


def progress_bars(console: Console) -> Progress:
    """Bars that vanish when they are done; on a console that is no terminal they draw nothing."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[message]}"),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


class TerminalHost:
    """Draws from `__enter__` to `__exit__`. Each warning is shown once; costs are kept by kind, the last one counts."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars = progress_bars(console)
        self._changed = asyncio.Event()
        self._warned: set[str] = set()
        self.costs: dict[str, Cost] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def begin_task(self, title: str, cancel: Callable[[], object] | None = None) -> TaskView:
        """A bar, and a line when it is over."""
        return _Bar(self._bars, self._console, title)

    def has_said(self, message: str) -> bool:
        """Whether a warning of these words was shown."""
        return message in self._warned

    def warn(self, message: str) -> None:
        """A line, once."""
        if message not in self._warned:
            self._warned.add(message)
            self._console.print(f"[yellow]{escape(message)}[/]", soft_wrap=True)
        self._changed.set()

    def fail(self, message: str) -> None:
        """A line."""
        self._console.print(f"[red]{escape(message)}[/]", soft_wrap=True)
        self._changed.set()

    def answered(self, kind: str, cost: Cost, reason: str) -> None:
        """Keeps the cost."""
        self.costs[kind] = cost
        self._changed.set()

    def state_changed(self) -> None:
        """Wakes whoever waits."""
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits until something has changed that makes the condition true."""
        while not condition():
            self._changed.clear()
            await self._changed.wait()


class _Bar:
    def __init__(self, bars: Progress, console: Console, title: str) -> None:
        self._bars, self._console, self._title = bars, console, title
        self._task: TaskID = bars.add_task(escape(title), total=None, message="")

    def report(self, message: str, percentage: int | None = None) -> None:
        """Moves the bar."""
        total = None if percentage is None else 100
        self._bars.update(self._task, total=total, completed=percentage or 0, message=escape(message))

    def end(self, message: str) -> None:
        """Takes the bar away and leaves a line. It may have ended badly, so the line has no tick."""
        self._bars.remove_task(self._task)
        self._console.print(f"[dim]{escape(self._title)}: {escape(message)}[/]", soft_wrap=True)


def cost_line(cost: Cost) -> str:
    """What an answer cost, in words."""
    parts = [
        f"{cost.reused:,} tokens reused",
        f"{cost.evaluated:,} evaluated",
        f"{cost.generated:,} generated",
        f"first token after {cost.first_token_ms:,.0f} ms",
        f"{cost.total_ms / 1000:.1f} s in all",
        "exact" if cost.exact else "approximate",
    ]
    if cost.hidden:
        parts.insert(1, f"{cost.hidden:,} masked")
    return ", ".join(parts)
