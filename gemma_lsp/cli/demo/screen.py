"""How the demo looks: live bars and colours on a terminal, plain lines elsewhere. Knows nothing of the protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.columns import Columns
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.progress import Progress, TaskID
from rich.rule import Rule
from rich.syntax import Syntax
from rich.text import Text

from gemma_lsp.cli import console
from gemma_lsp.cli.terminal import progress_bars

_PLAIN_STEPS = 25  # per cent between two lines of progress where nothing can move


class Screen:
    """Draws on one console. Invariant: bars live only while a task runs, so that text may stream at other times."""

    def __init__(self, out: Console) -> None:
        self._out = out
        self._bars: Progress | None = None
        self._tasks: dict[str, tuple[str, TaskID | None]] = {}
        self._told: dict[str, int] = {}

    def heading(self, text: str) -> None:
        """The next step."""
        self._out.print()
        if self._fancy:
            self._out.print(Rule(f"[bold]{escape(text)}[/]", align="left"))
        else:
            self.line(f"== {text}")

    def line(self, text: str, style: str = "") -> None:
        """One line of words."""
        self._out.print(Text(text, style=style), soft_wrap=True)

    def stream(self, delta: str) -> None:
        """More of an answer."""
        self._out.print(Text(delta), end="", soft_wrap=True)

    # -- progress --------------------------------------------------------------------------------------------------

    def progress(self, token: str, value: Mapping[str, Any]) -> None:
        """Work-done progress as the server reports it."""
        match value["kind"]:
            case "begin":
                self._begin(token, value["title"])
            case "report":
                self._report(token, value.get("message", ""), value.get("percentage"))
            case "end":
                self._end(token, value.get("message", ""))

    def close(self) -> None:
        """Takes away whatever still moves."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = None

    def _begin(self, token: str, title: str) -> None:
        if self._bars is None and self._fancy:
            self._bars = progress_bars(self._out)
            self._bars.start()
        task = self._bars.add_task(escape(title), total=None, message="") if self._bars else None
        self._tasks[token] = (title, task)

    def _report(self, token: str, message: str, percentage: int | None) -> None:
        title, task = self._tasks.get(token, ("", None))
        if self._bars is not None and task is not None:
            total = None if percentage is None else 100
            self._bars.update(task, total=total, completed=percentage or 0, message=escape(message))
        elif percentage is not None and percentage // _PLAIN_STEPS > self._told.get(token, 0):
            self._told[token] = percentage // _PLAIN_STEPS
            self.line(f"  {title}: {message}")

    def _end(self, token: str, message: str) -> None:
        title, task = self._tasks.pop(token, ("", None))
        self._told.pop(token, None)
        if self._bars is not None and task is not None:
            self._bars.remove_task(task)
        if not self._tasks:
            self.close()
        self.line(f"{title}: {message}", "dim")  # no tick: it may have ended badly

    # -- results ---------------------------------------------------------------------------------------------------

    def side_by_side(self, left: tuple[str, str], right: tuple[str, str]) -> None:
        """Two pieces of Python with their titles."""
        if self._fancy:
            panels = [Panel(_python(code), title=escape(title), expand=False) for title, code in (left, right)]
            self._out.print(Columns(panels, padding=(0, 2)))
            return
        for title, code in (left, right):
            self.line(f"{title}:")
            self.line("\n".join(f"    {line}" for line in code.split("\n")))

    def table(self, headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """A table whose first column is words and whose others are numbers."""
        console.print_table(self._out, headings, rows, right=headings[1:])

    @property
    def _fancy(self) -> bool:
        return self._out.is_terminal


def _python(code: str) -> Syntax:
    return Syntax(code, "python", theme="ansi_dark", background_color="default")
