"""Findings, fixes and thoughts in the real Neovim, from the real server: with scripted words, and the model's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.editors.install import NEOVIMS
from tests.editors.neovim.editor import Editor, copy_of, editor
from tests.editors.scripted_server import CLAIM, COMMAND, RIGHT, WORDS, WRONG
from tests.editors.sums import SUMS_CLAIM, SUMS_LINE, SUMS_RIGHT
from tests.support.sessions import FILES, write_files

CHOOSE = """
vim.ui.select = function(items, options, choose)
  Offered = vim.tbl_map(function(item) return item.action.title end, items)
  for _, item in ipairs(items) do
    if item.action.title == Wanted then Choose = function() choose(item) end end
  end
end
"""


@pytest.fixture(params=sorted(NEOVIMS))
def nvim(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Editor]:
    """On the line with the bug."""
    shop = write_files(tmp_path / "shop", FILES)
    options = {"diagnostics": {"enabled": "on"}}
    with editor(request.param, shop, shop / "shop" / "rates.py", server=COMMAND, options=options, more=CHOOSE) as nvim:
        nvim.until_ready()
        nvim.keys("2G")
        yield nvim
        assert "Error" not in nvim.messages()


@pytest.fixture(params=sorted(NEOVIMS))
def real(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Editor]:
    """The real server with the default model, on the line of a bug that it can find."""
    sums = copy_of("sums", tmp_path)
    options = {"diagnostics": {"enabled": "on"}}
    with editor(request.param, sums, sums / "sums" / "operations.py", options=options, more=CHOOSE) as nvim:
        nvim.until_ready()
        nvim.keys(f"{SUMS_LINE}G")
        yield nvim
        assert "Error" not in nvim.messages()


def test_a_finding_is_shown_and_fixed(nvim: Editor) -> None:
    """Its fix is in the menu; it changes the line, and undo takes it back."""
    nvim.until(lambda: findings(nvim) == [CLAIM])
    nvim.lua("vim.diagnostic.open_float()")
    nvim.until_seen(CLAIM)
    nvim.picture("finding")
    choose(nvim, f"Fix: {CLAIM}")
    confirm(nvim)
    nvim.until(lambda: findings(nvim) == [])
    nvim.until(lambda: WRONG in nvim.lines()[1] or nvim.keys("u"))  # 0.12 takes two steps back for one edit


def test_a_finding_is_dismissed(nvim: Editor) -> None:
    """From the menu; it stays away when the file is opened again."""
    nvim.until(lambda: findings(nvim) == [CLAIM])
    choose(nvim, "Do not show this finding again")
    nvim.until(lambda: findings(nvim) == [])
    nvim.command("edit!")
    nvim.keys("2G")
    choose(nvim, "Explain this bug")
    nvim.until_seen(WORDS[:20])
    assert findings(nvim) == []


def test_a_bug_that_nobody_found_is_fixed_when_asked(nvim: Editor) -> None:
    """The edit is made when it is chosen."""
    choose(nvim, "Fix this bug")
    confirm(nvim)


def test_thoughts_are_folded(nvim: Editor) -> None:
    """And unfold with zo; the answer stands below."""
    choose(nvim, "Explain this bug")
    nvim.until(lambda: "done" in nvim.lua("return vim.wo.winbar"))
    nvim.until_seen(WORDS[:20])
    nvim.until_seen("lines: Thinking")
    assert "Three or four?" not in nvim.nvim.screen.text()
    nvim.picture("thinking")
    nvim.keys("gg/Thinking<CR>zo")
    nvim.until_seen("Three or four?")


def test_the_model_itself_fixes_a_bug(real: Editor) -> None:
    """When asked; the fix is the model's own."""
    choose(real, "Fix this bug")
    confirm(real, SUMS_RIGHT, SUMS_LINE)


def test_a_finding_of_the_model_itself_is_shown_and_dismissed(real: Editor) -> None:
    """On the line with the bug and on no other; it stays away when the file is opened again."""
    where = "return vim.tbl_map(function(one) return one.lnum + 1 end, vim.diagnostic.get(0))"
    real.until(lambda: real.lua(where))
    assert real.lua(where) == [SUMS_LINE]
    real.lua("vim.diagnostic.open_float()")
    real.until_seen(SUMS_CLAIM)
    real.picture("model-finding")
    choose(real, "Do not show this finding again")
    real.until(lambda: findings(real) == [])
    real.command("edit!")
    real.keys(f"{SUMS_LINE}G")
    choose(real, "Fix this bug")
    confirm(real, SUMS_RIGHT, SUMS_LINE)
    assert findings(real) == []


def findings(nvim: Editor) -> list[str]:
    """What is shown in the current buffer, source and all."""
    code = "return vim.tbl_map(function(one) return one.source .. ': ' .. one.message end, vim.diagnostic.get(0))"
    return [line.removeprefix("gemma-lsp: ") for line in nvim.lua(code)]


def choose(nvim: Editor, title: str) -> None:
    """Chooses from the menu of code actions on the current line."""
    nvim.lua("Offered, Wanted = nil, ...", title)
    nvim.lua("vim.lsp.buf.code_action()")
    offered = nvim.until(lambda: nvim.lua("return Offered"))
    assert title in offered
    nvim.nvim.notify("nvim_exec_lua", "Choose()", [])


def confirm(nvim: Editor, right: str = RIGHT, line: int = 2) -> None:
    """0.12 asks before it applies an edit; 0.11 does not."""
    screen = nvim.nvim.screen
    nvim.until(lambda: right in screen.text() or "Apply all changes?" in screen.text())
    if "Apply all changes?" in screen.text():
        nvim.picture("confirm")
        nvim.keys("y")
        nvim.until(lambda: "Applied changes" in screen.text())
        nvim.keys("<CR>")
    nvim.until(lambda: right in nvim.lines()[line - 1])
