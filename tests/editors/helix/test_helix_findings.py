"""Findings and fixes in the real Helix, from the real server: with scripted words, and the model's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.editors.helix.editor import Editor, editor
from tests.editors.neovim.editor import copy_of
from tests.editors.scripted_server import CLAIM, COMMAND, RIGHT, WORDS, WRONG
from tests.editors.sums import SUMS_CLAIM, SUMS_LINE, SUMS_RIGHT, SUMS_WRONG
from tests.support.sessions import FILES, write_files

TITLES = (
    "Fix: ",
    "Do not show this finding again",
    "Explain this diagnostic",
    "Explain this bug",
    "Fix this bug",
    "docstring",
    "Implement from",
    "Simplify this code",
    "Add type annotations",
    "Explain this code",
    "Write a test",
)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return write_files(tmp_path / "shop", FILES)


@pytest.fixture
def sums(tmp_path: Path) -> Path:
    return copy_of("sums", tmp_path)


@pytest.fixture
def hx(shop: Path) -> Iterator[Editor]:
    """With the finding on the screen, and the cursor on its line."""
    with editor(shop, "shop/rates.py", command=COMMAND, options={"diagnostics": {"enabled": "on"}}) as hx:
        hx.keys("Escape", "2", "g", "g")
        hx.until_seen(CLAIM)
        yield hx


def test_a_finding_is_shown_and_fixed(hx: Editor, shop: Path) -> None:
    """From the menu; undo takes it back."""
    hx.picture("finding")
    choose(hx, f"Fix: {CLAIM}")
    hx.until_seen(RIGHT)
    assert RIGHT in hx.text_of(shop / "shop" / "rates.py")
    hx.keys("Escape", "u")
    hx.until_seen(WRONG)


def test_a_finding_is_dismissed(hx: Editor) -> None:
    """It goes, and the code stays."""
    choose(hx, "Do not show this finding again")
    hx.until(lambda: CLAIM not in hx.screen())
    assert WRONG in hx.screen()


def test_an_explanation_opens_as_a_document(hx: Editor) -> None:
    """With the words as they were said."""
    choose(hx, "Explain this bug")
    hx.until_seen(WORDS[:20])


def test_the_model_itself_fixes_a_bug(sums: Path) -> None:
    """Its finding is shown on the line with the bug and dismissed; the fix that it is asked for comes all the same."""
    path = sums / "sums" / "operations.py"
    with editor(sums, "sums/operations.py", options={"diagnostics": {"enabled": "on"}}) as hx:
        hx.keys("Escape", *str(SUMS_LINE), "g", "g")
        hx.until_seen(SUMS_CLAIM)
        hx.picture("model-finding")
        choose(hx, "Do not show this finding again")
        hx.until(lambda: SUMS_CLAIM not in hx.screen())
        assert SUMS_WRONG in hx.text_of(path)
        choose(hx, "Fix this bug")
        hx.until_seen(SUMS_RIGHT)
        assert SUMS_RIGHT in hx.text_of(path)


def choose(hx: Editor, title: str) -> None:
    """Chooses from the menu of code actions on the current line; Tab goes to its next entry."""
    hx.keys("Escape", "x", "Space", "a")
    hx.until_seen(title)
    entries = [entry for line in hx.screen().split("\n") for entry in TITLES if entry in line]
    for _ in range(entries.index(next(known for known in TITLES if title.startswith(known)))):
        hx.keys("Tab")
    hx.keys("Enter")
