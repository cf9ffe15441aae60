"""A Helix in a terminal of tmux, with the configuration that we ship, and the real server on its PATH."""

from __future__ import annotations

import itertools
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.text import Text

from tests.e2e.server import ROOT, environment
from tests.editors import pictures
from tests.editors.install import helix
from tests.editors.neovim.editor import LIMIT_S, OPTIONS, SERVER

POLL_S = 0.2
ESCAPE_S = 0.4  # an Escape followed at once by another key is a key with Alt
WIDTH, HEIGHT = 110, 30
_NUMBERS = itertools.count(1)


class Editor:
    """What the tests do with a Helix."""

    def __init__(self, tmux: list[str], server_pid: Path) -> None:
        self._tmux, self._server_pid = tmux, server_pid

    def keys(self, *keys: str) -> None:
        """Presses keys by their names in tmux."""
        for key in keys:
            subprocess.run([*self._tmux, "send-keys", "-t", "hx", key], check=True)
            if key == "Escape":
                time.sleep(ESCAPE_S)

    def type(self, text: str, key_s: float = 0.0) -> None:
        """Types characters, at a person's speed if `key_s` says so."""
        for part in text if key_s else [text]:
            subprocess.run([*self._tmux, "send-keys", "-t", "hx", "-l", "--", part], check=True)
            time.sleep(key_s)

    def command(self, command: str) -> None:
        """A typed command."""
        self.keys("Escape")
        self.type(f":{command}")
        self.keys("Enter")

    def screen(self) -> str:
        done = subprocess.run([*self._tmux, "capture-pane", "-p", "-t", "hx"], capture_output=True, check=True)
        return done.stdout.decode()

    def until(self, what: Callable[[], Any], limit_s: float = LIMIT_S) -> Any:
        """Waits for something true, and returns it."""
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            if value := what():
                return value
            time.sleep(POLL_S)
        raise AssertionError(f"this did not come; the screen:\n{self.screen()}")

    def until_after(self, again: Callable[[], Any], what: Callable[[], Any], each_s: float = 20.0) -> Any:
        """Waits for something true, and does something about it every so often."""
        end = time.monotonic() + each_s

        def seen() -> Any:
            nonlocal end
            if not (value := what()) and time.monotonic() > end:
                again()
                end = time.monotonic() + each_s
            return value

        return self.until(seen)

    def until_seen(self, text: str, limit_s: float = LIMIT_S) -> None:
        self.until(lambda: text in self.screen(), limit_s)

    def until_ready(self) -> None:
        """Waits until the repository is resident."""
        self.until_status(r": ready, \d+ files")

    def until_status(self, pattern: str) -> None:
        """Asks the server for its state until it says what is expected."""

        def said() -> bool:
            self.command("lsp-workspace-command gemma-lsp.status")
            time.sleep(1)
            return re.search(pattern, self.screen()) is not None

        self.until(said)

    def text_of(self, path: Path) -> str:
        """The buffer, written to its file."""
        before = _state(path)
        self.command("write!")
        self.until(lambda: _state(path) not in (None, before))
        self.until(lambda: self._is_written(path))
        return path.read_text()

    def _is_written(self, path: Path) -> bool:
        """Whether the file has stopped growing: a long one is written in parts."""
        before = _state(path)
        time.sleep(2 * POLL_S)
        return before is not None and before[1] > 0 and before == _state(path)

    def kill_server(self) -> None:
        os.kill(int(self._server_pid.read_text()), signal.SIGKILL)

    def picture(self, name: str) -> None:
        done = subprocess.run([*self._tmux, "capture-pane", "-e", "-p", "-t", "hx"], capture_output=True, check=True)
        lines = [Text.from_ansi(line) for line in done.stdout.decode().split("\n")[:HEIGHT]]
        pictures.keep(f"helix/{name}", lines)


def _state(path: Path) -> tuple[int, int] | None:
    """When a file was written last, in ns, and its size; None where it is missing: Helix moves it away to write it."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size


@contextmanager
def editor(
    folder: Path,
    file: str,
    *,
    server: bool = True,
    command: Sequence[str] = SERVER,
    options: Mapping[str, Any] | None = None,
    wait: bool = True,
) -> Iterator[Editor]:
    """A running Helix in `folder`, which is a workspace. Without `server` there is none on PATH."""
    home = folder.parent / "home"
    config = home / "helix"
    binaries = home / "bin"
    for made in (config, binaries):
        made.mkdir(parents=True, exist_ok=True)
    for name in ("languages.toml", "config.toml"):
        shutil.copy(ROOT / "editors" / "helix" / name, config)
    local = folder / ".helix"
    local.mkdir(exist_ok=True)
    local.joinpath("languages.toml").write_text(_settings({**OPTIONS, **(options or {})}))
    pid = home / "server.pid"
    script = binaries / "gemma-lsp"
    script.write_text(f"#!/bin/sh\necho $$ > {shlex.quote(str(pid))}\nexec {shlex.join(command)}\n")
    script.chmod(0o755 if server else 0o644)
    env = {**environment(), "XDG_CONFIG_HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    env["XDG_STATE_HOME"] = str(home / "state")  # what is dismissed stays dismissed: not for whoever runs the tests
    env |= {
        "PATH": os.pathsep.join((str(binaries), *_without_others())),
        "TERM": "xterm-256color",
        "COLORTERM": "truecolor",
    }
    tmux = ["tmux", "-L", f"gemma-lsp-{os.getpid()}-{next(_NUMBERS)}", "-f", "/dev/null"]
    start = [*tmux, "new-session", "-d", "-s", "hx", "-x", str(WIDTH), "-y", str(HEIGHT), "-c", str(folder)]
    subprocess.run([*start, f"{helix()} -v {file}"], env=env, check=True)
    hx = Editor(tmux, pid)
    try:
        hx.until_seen("NOR")
        if wait:
            hx.until_ready()
        yield hx
    finally:
        subprocess.run([*tmux, "kill-server"], check=False, capture_output=True)


def _settings(options: Mapping[str, Any]) -> str:
    """The server's settings as the workspace's own languages.toml."""
    lines = []
    for section, values in options.items():
        lines.append(f"[language-server.gemma-lsp.config.{section}]")
        for name, value in values.items():
            shown = str(value).lower() if isinstance(value, bool) else repr(value).replace("'", '"')
            lines.append(f"{name} = {shown}")
    return "\n".join(lines) + "\n"


def _without_others() -> list[str]:
    """The folders of PATH in which none of the other servers of our languages.toml is: the menus are to be ours."""
    folders = os.environ["PATH"].split(os.pathsep)
    return [folder for folder in folders if not any(shutil.which(name, path=folder) for name in ("ruff", "pylsp"))]
