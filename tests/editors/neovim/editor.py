"""A Neovim as a person has it: our plugin on the runtime path, the real server, a copy of the sample repository."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e import server
from tests.e2e.server import ROOT, environment
from tests.editors import pictures
from tests.editors.install import neovim
from tests.editors.neovim.rpc import Nvim

SERVER = tuple(shlex.split(os.environ.get("GEMMA_LSP_SERVER", ""))) or (sys.executable, "-m", "gemma_lsp", "serve")
"""`GEMMA_LSP_SERVER` names another server to test the clients with."""

PLUGIN = ROOT / "editors" / "neovim"
OPTIONS = {**server.OPTIONS, "diagnostics": {"enabled": "off"}}
"""Reviews of whole files by the default model would keep a small machine busy."""

POLL_S = 0.05
LIMIT_S = 120.0  # for what takes seconds: the machine may be busy

_INIT = """
vim.opt.runtimepath:prepend({plugin})
vim.g.gemma_lsp = vim.json.decode({plugin_options})
local config = vim.json.decode({config})
vim.lsp.config('gemma_lsp', config)
vim.o.statusline = '%f %= %{{v:lua.require("gemma_lsp").statusline()}}'
vim.o.swapfile = false
Progress = {{}}
vim.api.nvim_create_autocmd('LspProgress', {{ callback = function(args)
  table.insert(Progress, args.data.params.value.kind .. ' ' .. (args.data.params.value.title or ''))
end }})
{more}
vim.lsp.enable('gemma_lsp')
"""


class Editor:
    """What the tests do with a Neovim."""

    def __init__(self, nvim: Nvim, name: str) -> None:
        self.nvim = nvim
        self._name = name

    def lua(self, code: str, *arguments: Any) -> Any:
        return self.nvim.lua(code, *arguments)

    def command(self, command: str) -> None:
        self.nvim.request("nvim_command", command)

    def keys(self, keys: str) -> None:
        self.nvim.keys(keys)

    def type(self, text: str, key_s: float) -> None:
        """Types at a person's speed."""
        for char in text:
            self.keys("<lt>" if char == "<" else char)
            time.sleep(key_s)

    def until(self, what: Callable[[], Any], limit_s: float = LIMIT_S) -> Any:
        """Waits for something true, and returns it."""
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            if value := what():
                return value
            time.sleep(POLL_S)
        raise AssertionError(f"this did not come; the screen:\n{self.nvim.screen.text()}\nmessages:\n{self.messages()}")

    def until_seen(self, text: str, limit_s: float = LIMIT_S) -> None:
        self.until(lambda: text in self.nvim.screen.text(), limit_s)

    def until_ready(self) -> None:
        """Waits until the repository of the current file is resident."""
        ask = """
            local client = vim.lsp.get_clients({ name = 'gemma_lsp', bufnr = 0 })[1]
            local answer = client and client:request_sync('gemma-lsp/status', {}, 5000, 0)
            local here = answer and answer.result and answer.result.workspaces[1]
            return here and here.state == 'ready'"""
        self.until(lambda: self.lua(ask))

    def ghost(self) -> str | None:
        """The ghost text, whoever draws it."""
        return self.lua("""
            for name, ns in pairs(vim.api.nvim_get_namespaces()) do
              if name == 'gemma_lsp.ghost' or name == 'nvim.lsp.inline_completion' then
                local mark = vim.api.nvim_buf_get_extmarks(0, ns, 0, -1, { details = true })[1]
                if mark then
                  local lines = { mark[4].virt_text[1][1] }
                  for _, line in ipairs(mark[4].virt_lines or {}) do table.insert(lines, line[1][1]) end
                  return table.concat(lines, '\\n')
                end
              end
            end""")

    def lines(self) -> list[str]:
        return self.nvim.request("nvim_buf_get_lines", 0, 0, -1, True)

    def line(self) -> str:
        return self.nvim.request("nvim_get_current_line")

    def name(self) -> str:
        return Path(self.nvim.request("nvim_buf_get_name", 0)).name

    def mode(self) -> str:
        return self.nvim.request("nvim_get_mode")["mode"]

    def messages(self) -> str:
        return self.nvim.request("nvim_exec2", "messages", {"output": True})["output"]

    def open(self, path: Path) -> None:
        """Opens a file as it is on disk, in one window."""
        self.keys("<C-c><C-c>")
        self.lua("require('gemma_lsp.explain').close()")
        self.command("silent! only")
        self.command(f"edit! {path}")
        self.command("messages clear")

    def server_pids(self) -> list[int]:
        """The server processes that this Neovim started."""
        children = Path(f"/proc/{self.lua('return vim.fn.getpid()')}/task")
        pids = " ".join(path.read_text() for path in children.glob("*/children")).split()
        return [int(pid) for pid in pids if b"gemma_lsp" in Path(f"/proc/{pid}/cmdline").read_bytes()]

    def kill_server(self) -> None:
        for pid in self.server_pids():
            os.kill(pid, signal.SIGKILL)

    def picture(self, name: str) -> None:
        pictures.keep(f"neovim-{self._name}/{name}", self.nvim.screen.styled())


def quoted(text: str) -> str:
    """A Lua string."""
    return f"[==[{text}]==]"


@contextmanager
def editor(
    version: str,
    folder: Path,
    *files: Path,
    server: tuple[str, ...] = SERVER,
    options: Mapping[str, Any] | None = None,
    plugin_options: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
    more: str = "",
) -> Iterator[Editor]:
    """A running Neovim. `options`: the server's; `more`: lines of the person's init.lua."""
    home = folder.parent / "home"
    home.mkdir(exist_ok=True)
    init = home / "init.lua"
    init.write_text(
        _INIT.format(
            plugin=quoted(str(PLUGIN)),
            plugin_options=quoted(json.dumps(plugin_options or {})),
            config=quoted(json.dumps({"cmd": server, "init_options": {**OPTIONS, **(options or {})}})),
            more=more,
        )
    )
    command = [str(neovim(version)), "--clean", "-n", "--embed", "-u", str(init), *map(str, files)]
    ours = {**environment(), "XDG_STATE_HOME": str(home), "XDG_DATA_HOME": str(home), **(env or {})}
    nvim = Nvim(command, folder, ours)
    try:
        yield Editor(nvim, version)
    finally:
        nvim.close()


def copy_of(fixture: str, folder: Path) -> Path:
    """A sample repository, to be edited."""
    return Path(shutil.copytree(ROOT / "fixtures" / fixture, folder / fixture))


def copy_of_parcels(folder: Path) -> Path:
    """The one that most tests use."""
    return copy_of("parcels", folder)
