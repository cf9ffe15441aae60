"""What is wrong with a bench's options is said before anything is measured."""

from __future__ import annotations

from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gemma_lsp.cli import app
from gemma_lsp.cli.bench import common


@pytest.mark.parametrize("bench", ["basics", "replay", "edits", "complete", "explain", "review"])
def test_a_report_that_cannot_be_written(bench: str, tmp_path: Path) -> None:
    """Some measure for hours, and would say so then."""
    for path, complaint in ((tmp_path / "gone" / "a.json", "there is no folder"), (tmp_path, "is a folder")):
        result = CliRunner().invoke(app, ["bench", bench, "--json", str(path)])
        assert result.exit_code == 2
        assert complaint in " ".join(result.output.replace("│", " ").split())


def test_a_picture_that_cannot_be_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else needs matplotlib, so few have it."""

    def found(name: str) -> ModuleSpec | None:
        return None

    monkeypatch.setattr(common, "find_spec", found)
    result = CliRunner().invoke(app, ["bench", "replay", "--plot", str(tmp_path / "a.svg")])
    assert result.exit_code == 2
    assert "a plot needs matplotlib" in " ".join(result.output.replace("│", " ").split())
