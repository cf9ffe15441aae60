"""Neovim's RPC over the standard streams of an embedded process: requests, and the screen that it draws.

One thread reads. `Screen` is what a person sees; `frames` are all the screens since `watch`.
"""

from __future__ import annotations

import itertools
import queue
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgpack
from rich.style import Style
from rich.text import Text

LIMIT_S = 60.0


class NvimError(Exception):
    """What Neovim answered to a request that failed."""


class Screen:
    """The grid as the redraw events describe it. Written by the reader, read by the test."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.frames: list[list[str]] | None = None
        self._cells: list[list[tuple[str, int]]] = []
        self._styles: dict[int, Style] = {}
        self._colours = (0xFFFFFF, 0x14161B)

    def redraw(self, events: Sequence[Sequence[Any]]) -> None:
        """One batch of events, which may end with a flush."""
        with self.lock:
            for name, *calls in events:
                handler = getattr(self, f"_on_{name}", None)
                for call in calls if handler else ():
                    handler(*call)

    def lines(self) -> list[str]:
        """The rows as text."""
        with self.lock:
            return self._rows()

    def text(self) -> str:
        """All of them."""
        return "\n".join(self.lines())

    def styled(self) -> list[Text]:
        """The rows with their colours."""
        with self.lock:
            plain = Style(color=_hex(self._colours[0]), bgcolor=_hex(self._colours[1]))
            return [Text.assemble(*self._runs(row, plain), end="") for row in self._cells]

    def _runs(self, row: list[tuple[str, int]], plain: Style) -> Iterator[tuple[str, Style]]:
        for style, cells in itertools.groupby(row, key=lambda cell: cell[1]):
            yield "".join(text for text, _ in cells), plain + self._styles.get(style, plain)

    def _rows(self) -> list[str]:
        return ["".join(cell for cell, _ in row) for row in self._cells]

    def _on_grid_resize(self, grid: int, width: int, height: int) -> None:
        self._cells = [[(" ", 0)] * width for _ in range(height)]

    def _on_grid_clear(self, grid: int) -> None:
        self._cells = [[(" ", 0)] * len(row) for row in self._cells]

    def _on_grid_line(self, grid: int, row: int, col: int, cells: Sequence[Sequence[Any]], wrap: bool = False) -> None:
        style = 0
        for text, *rest in cells:
            style = rest[0] if rest else style
            for _ in range(rest[1] if len(rest) > 1 else 1):
                self._cells[row][col] = (text, style)
                col += 1

    def _on_grid_scroll(self, grid: int, top: int, bot: int, left: int, right: int, rows: int, cols: int) -> None:
        order = range(top, bot - rows) if rows > 0 else range(bot - 1, top - rows - 1, -1)
        for row in order:
            self._cells[row][left:right] = self._cells[row + rows][left:right]

    def _on_hl_attr_define(self, number: int, rgb: Mapping[str, Any], *_: Any) -> None:
        fore, back = rgb.get("foreground"), rgb.get("background")
        self._styles[number] = Style(
            color=None if fore is None else _hex(fore),
            bgcolor=None if back is None else _hex(back),
            reverse=rgb.get("reverse"),
            bold=rgb.get("bold"),
            italic=rgb.get("italic"),
            underline=rgb.get("underline") or rgb.get("undercurl"),
        )

    def _on_default_colors_set(self, fore: int, back: int, *_: Any) -> None:
        self._colours = (fore, back)

    def _on_flush(self) -> None:
        if self.frames is not None:
            self.frames.append(self._rows())


class Nvim:
    """One embedded Neovim with a screen of 110 x 30."""

    def __init__(self, command: Sequence[str], folder: Path, env: Mapping[str, str]) -> None:
        self.screen = Screen()
        self._process = subprocess.Popen(
            list(command), cwd=folder, env=dict(env), stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        self._answers: dict[int, queue.SimpleQueue[tuple[Any, Any]]] = {}
        self._next = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.request("nvim_ui_attach", 110, 30, {"rgb": True, "ext_linegrid": True})

    def request(self, method: str, *arguments: Any) -> Any:
        """Calls an API function. Raises `NvimError`."""
        self._next += 1
        answer = self._answers[self._next] = queue.SimpleQueue()
        assert self._process.stdin is not None
        self._process.stdin.write(msgpack.packb([0, self._next, method, arguments]))
        self._process.stdin.flush()
        try:
            error, result = answer.get(timeout=LIMIT_S)
        except queue.Empty:
            raise NvimError(f"no answer to {method}; the screen:\n{self.screen.text()}") from None
        if error:
            raise NvimError(str(error[1] if isinstance(error, list) else error))
        return result

    def notify(self, method: str, *arguments: Any) -> None:
        """Calls an API function without waiting: for what asks the person something."""
        assert self._process.stdin is not None
        self._process.stdin.write(msgpack.packb([2, method, arguments]))
        self._process.stdin.flush()

    def lua(self, code: str, *arguments: Any) -> Any:
        """Runs Lua; `...` are the arguments."""
        return self.request("nvim_exec_lua", code, arguments)

    def keys(self, keys: str) -> None:
        """Types."""
        self.request("nvim_input", keys)

    def close(self) -> None:
        """Ends it, whatever it does."""
        if self._process.poll() is None:
            try:
                assert self._process.stdin is not None
                self._process.stdin.write(msgpack.packb([2, "nvim_command", ["qall!"]]))
                self._process.wait(10)
            except (OSError, subprocess.TimeoutExpired):
                self._process.kill()
                self._process.wait(10)

    def _read(self) -> None:
        unpacker = msgpack.Unpacker(strict_map_key=False, unicode_errors="replace")
        assert self._process.stdout is not None
        while data := self._process.stdout.read(65536):
            unpacker.feed(data)
            for message in unpacker:
                if message[0] == 1:
                    self._answers.pop(message[1]).put((message[2], message[3]))
                elif message[0] == 2 and message[1] == "redraw":
                    self.screen.redraw(message[2])
        for answer in tuple(self._answers.values()):
            answer.put(("Neovim ended", None))


def _hex(colour: int) -> str:
    return f"#{colour:06x}"
