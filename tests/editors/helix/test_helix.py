"""What works in the real Helix: its menu, its code actions, explanations as documents, its status line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.editors.helix.editor import Editor, editor
from tests.editors.neovim.editor import copy_of_parcels

KEY_S = 0.12  # between two keys: 100 words a minute


@pytest.fixture(scope="module")
def parcels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_of_parcels(tmp_path_factory.mktemp("helix"))


@pytest.fixture(scope="module")
def running(parcels: Path) -> Iterator[Editor]:
    with editor(parcels, "parcels/parcel.py", wait=False) as hx:
        hx.until_seen("reading")
        hx.picture("progress")
        hx.until_ready()
        hx.picture("status")
        yield hx


@pytest.fixture
def hx(running: Editor) -> Editor:
    """parcel.py as it is on disk."""
    running.command("open parcels/parcel.py")
    running.command("reload-all")
    running.keys("Escape", "g", "g")
    return running


def test_the_menu_offers_the_suggestion_and_enter_keeps_it(hx: Editor, parcels: Path) -> None:
    """Choosing it shows the text in the buffer already."""
    hx.keys("g", "e")
    hx.keys("o", "Enter")
    begun = "if parcel.weight_kg > settings.MAX_PARCEL_W"  # it stands above, so that any processor's rounding goes on
    hx.type(begun)
    # Helix asks at the dot and drops what does not fit what was typed meanwhile: on a busy machine one types again.
    hx.until_after(
        lambda: (hx.keys("BSpace"), hx.type(begun[-1])),
        lambda: re.search(r"^ *~? {20,}\S.* text *$", hx.screen(), re.MULTILINE),
    )
    hx.picture("completion")
    hx.keys("C-n", "Enter", "Escape")
    text = hx.text_of(parcels / "parcels" / "parcel.py")
    line = text.rstrip().rpartition("\n")[2].strip()
    assert line.startswith(begun)
    assert len(line) > len(begun)


def test_explain_opens_as_a_document_whose_link_opens_the_file(hx: Editor) -> None:
    """From the menu of code actions; `mi(` on the link and `gf` go to the file."""
    select_volume(hx)
    hx.keys("Space", "a")
    hx.until_seen("Explain this bug")
    hx.picture("code-actions")
    hx.keys("Enter")
    hx.until_seen("# Explain this bug")
    hx.picture("explain")
    hx.type("/file:")
    hx.keys("Enter")
    hx.type("mi(gf")
    hx.until_seen("class Dimensions")


def test_typing_at_a_persons_speed_loses_nothing(hx: Editor, parcels: Path) -> None:
    """Every key arrives once and in order, and nothing asks for attention."""
    hx.keys("g", "e")
    hx.keys("o", "Enter")
    code = ["def girth_in_inches(box: Dimensions) -> float:", "inches = box.girth_cm / 2.54", "return inches"]
    for line in code:
        hx.type(line, KEY_S)
        hx.keys("Enter")
    hx.keys("Escape")
    text = hx.text_of(parcels / "parcels" / "parcel.py")
    assert [line.strip() for line in text.rstrip().split("\n")[-len(code) :]] == code


def test_a_killed_server_comes_back_with_the_next_file(hx: Editor) -> None:
    """Helix starts it for the next file that is opened, not before."""
    hx.kill_server()
    hx.until_status("not supported|No active|does not support")
    hx.command("open parcels/units.py")
    hx.until_ready()


def select_volume(hx: Editor) -> None:
    """Selects the lines of volume_cm3."""
    hx.type("/def volume_cm3")
    hx.keys("Enter")
    hx.type("x")
    hx.type("x")
    hx.type("x")
