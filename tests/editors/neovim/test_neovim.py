"""The plugin at work in the real Neovim, 0.11 and 0.12: what a person does, and what is on the screen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.editors.install import NEOVIMS
from tests.editors.neovim.editor import Editor, copy_of_parcels, editor

BOX = "<C-u>def area(box: Dimensions) -> float:<CR>return box."
KEY_S = 0.12  # between two keys: 100 words a minute


@pytest.fixture(scope="module", params=sorted(NEOVIMS))
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Editor, Path]]:
    """One Neovim for the tests of this file; each opens its file anew."""
    parcels = copy_of_parcels(tmp_path_factory.mktemp("nvim"))
    with editor(request.param, parcels, parcels / "parcels" / "parcel.py") as nvim:
        nvim.until_ready()
        yield nvim, parcels / "parcels" / "parcel.py"


@pytest.fixture
def nvim(running: tuple[Editor, Path]) -> Iterator[Editor]:
    """parcel.py as it is on disk; afterwards nothing may have complained."""
    nvim, path = running
    nvim.open(path)
    yield nvim
    nvim.keys("<Esc>")
    assert "Error" not in nvim.messages()
    assert "E5108" not in nvim.messages()


def test_the_reading_of_the_repository_is_seen(nvim: Editor) -> None:
    """Progress begins and ends; the status line says what is resident."""
    progress = nvim.lua("return Progress")
    assert any(line.startswith("begin reading") for line in progress)
    assert progress[-1].startswith("end")
    nvim.until(lambda: "tokens" in nvim.lua("return require('gemma_lsp').statusline()"))
    nvim.until_seen("gemma: ")


def test_ghost_text_is_accepted_whole(nvim: Editor) -> None:
    """It stands on the screen behind the cursor, and Tab makes it text."""
    nvim.keys(f"Go<CR>{BOX}")
    ghost = nvim.until(nvim.ghost)
    nvim.until_seen("return box." + ghost.split("\n")[0])
    nvim.picture("ghost-text")
    before = nvim.line()
    nvim.keys("<Tab>")
    nvim.until(lambda: nvim.line() == before + ghost if "\n" not in ghost else nvim.line() == ghost.split("\n")[-1])
    assert nvim.mode() == "i"


def test_ghost_text_is_accepted_by_word_and_line(nvim: Editor) -> None:
    """What is left stays on the screen. A whole line has several words, whatever the model says."""
    nvim.keys("Go<CR><C-u>def depth(box: Dimensions) -> float:<CR>")
    ghost = nvim.until(nvim.ghost)
    nvim.keys("<M-Right>")
    rest = nvim.until(lambda: nvim.ghost() if nvim.ghost() != ghost else None)
    assert ghost.endswith(rest)
    assert nvim.line() == "    " + ghost.removesuffix(rest)
    nvim.keys("<M-C-Right>")
    nvim.until(lambda: "    " + ghost.split("\n")[0] in nvim.lines())


def test_tab_stays_a_tab_without_ghost_text(nvim: Editor) -> None:
    """And a dismissed suggestion is gone."""
    nvim.keys(f"Go<CR>{BOX}")
    nvim.until(nvim.ghost)
    nvim.keys("<C-]>")
    nvim.until(lambda: nvim.ghost() is None)
    nvim.keys("<Esc>O<Tab>")
    nvim.until(lambda: nvim.line().strip(" ") == "\t" or nvim.line().isspace())


def test_the_menu_offers_to_explain(nvim: Editor) -> None:
    """In Neovim's own menu of code actions, on a selection."""
    nvim.lua("vim.ui.select = function(items, options, choose) Offered = items end")
    nvim.keys("gg/def volume_cm3<CR>V3j")
    nvim.until(lambda: nvim.mode() == "V")
    nvim.lua("vim.lsp.buf.code_action()")
    titles = nvim.until(
        lambda: nvim.lua("return Offered and vim.tbl_map(function(one) return one.action.title end, Offered)")
    )
    assert "Explain this bug" in titles


def test_an_explanation_streams_and_its_link_opens_the_file(nvim: Editor) -> None:
    """The window is entered at once and grows; Enter on its link goes to the line, beside the window; q closes it."""
    explain(nvim)
    nvim.nvim.screen.frames = []
    nvim.until(lambda: "done" in winbar(nvim))
    frames, nvim.nvim.screen.frames = nvim.nvim.screen.frames, None
    assert len({tuple(frame) for frame in frames}) > 3
    text = nvim.lines()
    assert text[0] == "# Explain this bug: `Dimensions.volume_cm3`"
    nvim.picture("explain")
    row = next(n for n, line in enumerate(text, 1) if "parcel.py#L" in line)
    nvim.lua("vim.api.nvim_win_set_cursor(0, { ..., 0 })", row)
    line = re.search(r"parcel\.py#L(\d+)", text[row - 1])
    nvim.keys("<CR>")
    nvim.until(lambda: nvim.name() == "parcel.py")
    assert line is not None
    assert nvim.lua("return vim.fn.line('.')") == int(line.group(1)) > 1
    nvim.command("wincmd w")
    nvim.keys("q")
    nvim.until(lambda: n_windows(nvim) == 1)
    assert nvim.name() == "parcel.py"


def test_an_answer_can_be_stopped_and_asked_on(nvim: Editor) -> None:
    """What was said stays; a question below it gets its own answer below."""
    explain(nvim)
    nvim.until(lambda: "answering" in winbar(nvim))
    nvim.keys("s")
    nvim.until(lambda: "stopped" in winbar(nvim) or "done" in winbar(nvim))
    n_lines = len(nvim.lines())
    nvim.keys("a")
    nvim.keys("Where is the volume used?<CR>")
    nvim.until(lambda: "answering" in winbar(nvim))
    nvim.until(lambda: "done" in winbar(nvim))
    text = nvim.lines()
    assert text[0].startswith("# Explain this bug: ")
    assert any(line.startswith("# ") for line in text[n_lines:])
    nvim.picture("follow-up")
    nvim.keys("q")
    nvim.until(lambda: n_windows(nvim) == 1)


def test_thoughts_stand_in_a_closed_fold(nvim: Editor) -> None:
    """As the protocol sends them; the default model has none, so the messages are made here."""
    nvim.lua("""
        local function say(message)
          message.id = 'made'
          vim.lsp.handlers['gemma-lsp/explain'](nil, message, { client_id = vim.lsp.get_clients()[1].id })
        end
        say({ title = 'A title' })
        say({ thinking = 'first thought\\nsecond ' })
        say({ thinking = 'thought' })
        say({ delta = 'An ans' })
        say({ delta = 'wer.' })""")
    assert nvim.name() == "parcel.py"  # nobody asked for this window: the focus stays
    nvim.until_seen("An answer.")
    nvim.until_seen("lines: Thinking")
    assert "second thought" not in nvim.nvim.screen.text()
    nvim.picture("thinking")
    nvim.lua("""
        local message = { id = 'made', done = true, markdown = '# The title\\n\\nThe answer.\\n' }
        vim.lsp.handlers['gemma-lsp/explain'](nil, message, { client_id = vim.lsp.get_clients()[1].id })""")
    nvim.until_seen("The answer.")
    assert "An answer." not in nvim.nvim.screen.text()
    nvim.until_seen("lines: Thinking")
    nvim.command("GemmaLsp close")
    nvim.until(lambda: n_windows(nvim) == 1)


CODE = """
def girth_in_inches(box: Dimensions) -> float:
    if box.girth_cm < 0:
        raise ValueError("a box has no negative girth")
    return box.girth_cm / 2.54
"""


def test_typing_at_a_persons_speed_loses_nothing(nvim: Editor) -> None:
    """Every key arrives once, in order, in the window where one types, and nothing asks for attention."""
    nvim.keys("Go<C-u>")
    n_lines = len(nvim.lines())
    for line in CODE.strip().split("\n"):
        nvim.type(line.strip(), KEY_S)
        nvim.keys("<CR>")
    nvim.until(lambda: len(nvim.lines()) == n_lines + 4)
    typed = [line.strip() for line in nvim.lines()[n_lines - 1 :]]
    assert typed == [*(line.strip() for line in CODE.strip().split("\n")), ""]
    assert nvim.mode() == "i"
    assert n_windows(nvim) == 1
    assert nvim.messages() == ""


def test_a_suggestion_that_is_typed_along_does_not_flicker(nvim: Editor) -> None:
    """On every screen that was drawn, the line reads the same: what was typed and the ghost text behind it."""
    nvim.keys(f"Go<CR>{BOX}")
    ghost = nvim.until(nvim.ghost).split("\n")[0]
    whole = "return box." + ghost
    nvim.until_seen(whole)
    nvim.nvim.screen.frames = []
    nvim.type(ghost[:-1], KEY_S)
    nvim.until(lambda: nvim.line().strip() == whole[:-1])
    nvim.until(lambda: len(nvim.nvim.screen.frames or ()) >= len(ghost) - 1)
    frames, nvim.nvim.screen.frames = nvim.nvim.screen.frames, None
    shown = [next((line.strip() for line in frame if line.strip().startswith("return box.")), "") for frame in frames]
    assert set(shown) == {whole}
    assert nvim.messages() == ""


def test_a_killed_server_comes_back(nvim: Editor) -> None:
    """In the midst of an answer: the window says so, and a new server suggests as before."""
    (before,) = nvim.server_pids()
    explain(nvim)
    nvim.until(lambda: "answering" in winbar(nvim))
    nvim.kill_server()
    nvim.until_seen("quit with exit code")
    nvim.keys("<CR>")  # Neovim's own message needs more than one line
    nvim.until(lambda: "failed" in winbar(nvim))
    assert nvim.lines()[-1] == "The server ended before the answer did."
    nvim.keys("q")
    nvim.until(lambda: n_windows(nvim) == 1)
    nvim.until(lambda: nvim.server_pids() not in ([], [before]))
    nvim.until_ready()
    nvim.keys(f"Go<CR>{BOX}")
    nvim.until(nvim.ghost)
    assert nvim.messages().count("quit with exit code") == 1


def test_restart_starts_another_server(nvim: Editor) -> None:
    """By the command; the old one has ended."""
    (before,) = nvim.server_pids()
    nvim.command("GemmaLsp restart")
    nvim.until(lambda: before not in nvim.server_pids() and len(nvim.server_pids()) == 1)
    nvim.until_ready()


def explain(nvim: Editor) -> None:
    """Asks to explain volume_cm3; the window of the answer is the current one."""
    nvim.keys("gg/def volume_cm3<CR>")
    nvim.until(lambda: "def volume_cm3" in nvim.line())
    nvim.command("GemmaLsp explain")
    assert winbar(nvim) != ""


def winbar(nvim: Editor) -> str:
    return nvim.lua("return vim.wo.winbar")


def n_windows(nvim: Editor) -> int:
    return nvim.lua("return #vim.api.nvim_list_wins()")
