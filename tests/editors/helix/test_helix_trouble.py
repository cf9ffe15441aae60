"""What a person meets who has no server, a wrong model or an odd file: one clear message, or silence."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.editors.helix.editor import Editor, editor
from tests.editors.neovim.editor import copy_of_parcels

BIG = 20_000  # lines


@pytest.fixture(scope="module")
def parcels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_of_parcels(tmp_path_factory.mktemp("helix"))


def test_without_a_server_helix_edits_as_ever(parcels: Path) -> None:
    """What is missing stands in the log."""
    with editor(parcels, "parcels/units.py", server=False, wait=False) as hx:
        types_as_ever(hx, parcels / "parcels" / "units.py")
        hx.command("lsp-workspace-command gemma-lsp.status")
        hx.until(lambda: re.search("No active language servers|not supported for any language server", hx.screen()))
        hx.picture("no-server")


def test_a_wrong_model_path_is_said(parcels: Path) -> None:
    """In the status line, where progress may come after it; then by the command. Typing goes on."""
    options = {"model": {"path": "/no/such/model.gguf"}}
    with editor(parcels, "parcels/units.py", options=options, wait=False) as hx:
        hx.until_status("/no/such/model.gguf")
        hx.picture("wrong-model")
        types_as_ever(hx, parcels / "parcels" / "units.py")


def test_odd_files(parcels: Path, tmp_path: Path) -> None:
    """20,000 lines, a scratch buffer, a file outside the workspace, a read-only one: Helix stays what it is."""
    big, alone, fixed = parcels / "big.py", tmp_path / "alone.py", parcels / "parcels" / "zones.py"
    big.write_text("".join(f"NUMBER_{n} = {n}\n" for n in range(BIG)))
    alone.write_text("import math\n")
    fixed.chmod(0o444)
    with editor(parcels, "big.py") as hx:
        types_as_ever(hx, big)
        assert len(big.read_text().split("\n")) == BIG + 2
        hx.command(f"open {alone}")
        types_as_ever(hx, alone)
        hx.command("new")
        hx.command("set-language python")
        hx.type("iTOTAL = 1 + 2")
        hx.until_seen("TOTAL = 1 + 2")
        hx.command(f"open {fixed}")
        hx.until_seen("zones.py")
        hx.until_ready()
        assert "panicked" not in hx.screen()
    big.unlink()


def types_as_ever(hx: Editor, path: Path) -> None:
    """A line at the end arrives whole."""
    hx.keys("Escape", "g", "e", "o")
    hx.type("TOTAL = 1 + 2", 0.05)
    hx.keys("Escape")
    assert hx.text_of(path).rstrip().split("\n")[-1].strip() == "TOTAL = 1 + 2"
