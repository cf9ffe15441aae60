"""What stands in files that fit into no prompt, on the screen of the real Neovim."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.e2e.test_recall import N_FILES, OPENING, QUIET_S, TRIES, desk
from tests.editors.install import NEOVIMS
from tests.editors.neovim.editor import OPTIONS, Editor, editor
from tests.support.sessions import write_files


def ghost_soon(nvim: Editor) -> str:
    """The ghost text, or "" where none comes within a few seconds."""
    end = time.monotonic() + QUIET_S
    found = nvim.until(lambda: nvim.ghost() or (["none"] if time.monotonic() > end else None))
    return found if isinstance(found, str) else ""


@pytest.mark.parametrize("version", sorted(NEOVIMS))
def test_a_name_that_is_in_no_prompt_is_suggested(version: str, tmp_path: Path) -> None:
    """Once the engine has learned the files, which it does while nobody types."""
    files = {f"desks/desk_{n}.py": desk(n, "quench_zephyr") for n in range(N_FILES)}
    new = {f"new_{n}.py": OPENING.format(name=f"new{n}") for n in range(TRIES)}
    shop = write_files(tmp_path / "shop", {"pyproject.toml": "[project]\nname = 'shop'\n", **files, **new})
    completion = {**OPTIONS["completion"], "similar_chars": 0}
    options = {"index": {"budget_tokens": 256}, "completion": completion}
    with editor(version, shop, shop / "new_0.py", options=options) as nvim:
        nvim.until_ready()
        for path in new:
            time.sleep(QUIET_S)
            nvim.open(shop / path)
            nvim.keys("GA")
            if "quench_zephyr(" in ghost_soon(nvim):
                break
        nvim.until_seen("return ledger.quench_zephyr(")
        nvim.picture("recall")
