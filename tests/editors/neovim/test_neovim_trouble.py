"""What a person meets who has no server, a wrong model or an odd file: one clear message, or silence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.editors.install import NEOVIMS
from tests.editors.neovim.editor import Editor, copy_of_parcels, editor

AREA = "<C-u>def area(width: int, height: int) -> int:<CR>return "
BIG = 20_000  # lines
COUNT_STARTS = """
Starts = 0
local defer = vim.defer_fn
vim.defer_fn = function(fn, ms)
  Starts = Starts + (debug.getinfo(2, 'S').source:find('gemma_lsp/life') and 1 or 0)
  return defer(fn, ms)
end
"""


@pytest.fixture(scope="module", params=sorted(NEOVIMS))
def version(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def parcels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_of_parcels(tmp_path_factory.mktemp("nvim"))


@pytest.fixture(scope="module")
def running(version: str, parcels: Path) -> Iterator[Editor]:
    with editor(version, parcels, parcels / "parcels" / "parcel.py") as nvim:
        nvim.until_ready()
        yield nvim


@pytest.fixture
def nvim(running: Editor, parcels: Path) -> Editor:
    running.open(parcels / "parcels" / "parcel.py")
    return running


def test_without_a_server_one_message_says_what_to_install(version: str, parcels: Path) -> None:
    """Not again for the next file; the command and the status line stay quiet and clear."""
    with editor(version, parcels, parcels / "parcels" / "parcel.py", server=("gemma-lsp-is-not-here",)) as nvim:
        nvim.until_seen("pip install . in a clone")
        nvim.picture("no-server")
        nvim.keys("<CR>")
        nvim.command("edit parcels/units.py")
        nvim.keys("Godef f():<CR>return 1<Esc>")
        nvim.until(lambda: nvim.mode() == "n")
        assert nvim.messages().count("pip install . in a clone") == 1
        assert nvim.lua("return require('gemma_lsp').statusline()") == ""
        nvim.command("GemmaLsp explain")
        assert "does not run for this file" in nvim.messages()
        nvim.command("checkhealth gemma_lsp")
        nvim.until(lambda: any("is not executable" in line for line in nvim.lines()))


def test_a_wrong_model_path_is_said_once(version: str, parcels: Path) -> None:
    """The server stays, typing works, and an explanation says it again, because it was asked for."""
    options = {"model": {"path": "/no/such/model.gguf"}}
    with editor(version, parcels, parcels / "parcels" / "parcel.py", options=options) as nvim:
        nvim.until_seen("/no/such/model.gguf")
        nvim.picture("wrong-model")
        nvim.keys("<CR>")
        nvim.keys(f"Go<CR>{AREA}1")
        nvim.until(lambda: nvim.line().strip() == "return 1")
        assert nvim.ghost() is None
        assert "Traceback" not in nvim.messages()
        assert nvim.messages().count("/no/such/model.gguf") == 1


def test_a_file_of_20000_lines(nvim: Editor, parcels: Path) -> None:
    """Typing arrives whole; suggestions may stay away."""
    big = parcels / "big.py"
    big.write_text("".join(f"NUMBER_{n} = {n}\n" for n in range(BIG)))
    nvim.open(big)
    nvim.keys("10000Go")
    nvim.type("TOTAL = NUMBER_1 + NUMBER_2", 0.05)
    nvim.until(lambda: nvim.line() == "TOTAL = NUMBER_1 + NUMBER_2")
    assert len(nvim.lines()) == BIG + 1
    assert nvim.messages() == ""
    nvim.keys("<Esc>")
    big.unlink()


def test_an_untitled_buffer(nvim: Editor) -> None:
    """Python without a file: no message, whatever is suggested."""
    nvim.command("enew")
    nvim.command("setlocal filetype=python")
    nvim.keys("idef area(width: int, height: int) -> int:<CR>return ")
    nvim.type("width", 0.05)
    nvim.until(lambda: nvim.line().strip() == "return width")
    nvim.command("GemmaLsp explain")
    nvim.until(lambda: nvim.lua("return vim.wo.winbar").strip().split(" ")[0] in ("done", "failed"))
    assert "Traceback" not in nvim.nvim.screen.text()
    assert "E5108" not in nvim.messages()


def test_a_file_outside_every_workspace(nvim: Editor, tmp_path: Path) -> None:
    """It is served alone."""
    alone = tmp_path / "alone.py"
    alone.write_text("import math\n\n\n")
    nvim.open(alone)
    nvim.until(lambda: nvim.lua("return #vim.lsp.get_clients({ bufnr = 0 })") == 1)
    nvim.until_ready()
    nvim.keys(f"Go{AREA}")
    assert nvim.until(nvim.ghost).strip()
    assert nvim.messages() == ""


def test_a_read_only_file(nvim: Editor, parcels: Path) -> None:
    """It can be explained; it is not changed."""
    path = parcels / "parcels" / "zones.py"
    path.chmod(0o444)
    nvim.open(path)
    nvim.command("setlocal readonly nomodifiable")
    nvim.command("GemmaLsp explain")
    nvim.until(lambda: "done" in nvim.lua("return vim.wo.winbar"))
    nvim.keys("q")
    nvim.until(lambda: nvim.name() == "zones.py")
    assert not nvim.lua("return vim.bo.modified")
    assert "E21" not in nvim.messages()


def test_a_server_that_dies_at_once_is_not_started_again(version: str, parcels: Path) -> None:
    """One message of Neovim's, no loop."""
    server = ("python3", "-c", "import sys; sys.exit(3)")
    with editor(version, parcels, parcels / "parcels" / "parcel.py", server=server, more=COUNT_STARTS) as nvim:
        nvim.until_seen("quit with exit code 3")
        nvim.keys("<CR>")
        nvim.until(lambda: nvim.lua("return #vim.lsp.get_clients()") == 0)
        assert nvim.lua("return Starts") == 0
        assert nvim.messages().count("quit with exit code 3") == 1


def test_the_health_check_knows_what_runs(nvim: Editor) -> None:
    """Its text is kept as a picture."""
    nvim.command("checkhealth gemma_lsp")
    nvim.until(lambda: any("engine ready" in line for line in nvim.lines()))
    nvim.picture("checkhealth")
    nvim.command("tabclose")


def test_the_manual_has_its_tags(nvim: Editor) -> None:
    """`:help gemma-lsp` and what it refers to."""
    nvim.command("helptags ALL")
    for tag in ("gemma-lsp", "gemma-lsp-keys", ":GemmaLsp", "g:gemma_lsp", "gemma-lsp-statusline"):
        nvim.command(f"help {tag}")
        assert nvim.name() == "gemma-lsp.txt"
    nvim.command("helpclose")


def test_the_built_in_inline_completion_is_left_alone(parcels: Path) -> None:
    """On 0.12 a person who enables it gets its ghost text, once, and our keys accept it, in part too."""
    path = parcels / "parcels" / "parcel.py"
    with editor("0.12", parcels, path, more="vim.lsp.inline_completion.enable()") as nvim:
        nvim.until_ready()
        nvim.keys("Go<CR><C-u>def area(box: Dimensions) -> float:<CR>return box.")
        ghost = nvim.until(nvim.ghost)
        assert nvim.lua("return #vim.api.nvim_buf_get_extmarks(0, -1, 0, -1, { type = 'virt_text' })") == 1
        before = nvim.line()
        nvim.keys("<M-Right>")
        nvim.until(lambda: nvim.line() != before)
        assert (before + ghost).startswith(nvim.line())
        nvim.until(lambda: nvim.ghost() and ghost.endswith(nvim.ghost()))
        nvim.keys("<Tab>")
        nvim.until(lambda: nvim.line() == before + ghost.split("\n")[0])
