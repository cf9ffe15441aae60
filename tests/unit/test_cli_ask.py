"""`gemma-lsp ask`: without an answer it says why, once, and never makes one up."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gemma_lsp.cli import app, ask, engines, main
from gemma_lsp.config.load import Source, Strength


@pytest.fixture(autouse=True)
def no_user_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have settings of their own."""
    for module in (ask, engines):
        monkeypatch.setattr(module, "user_source", lambda: Source(strength=Strength.USER_FILE, origin="none"))


def asked(monkeypatch: pytest.MonkeyPatch, *arguments: str, question: str = "what is this?") -> int | str | None:
    """The exit code of the command as a shell sees it."""
    monkeypatch.setattr(sys, "argv", ["gemma-lsp", "ask", question, *arguments])
    with pytest.raises(SystemExit) as caught:
        main()
    return caught.value.code


def test_a_folder_without_anything_to_read_is_no_question_for_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No model is looked for; stdout, which is for answers, stays empty."""
    (tmp_path / "main.go").write_text("package main\n")
    assert asked(monkeypatch, "--dir", str(tmp_path), "--model", "none.gguf") == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"gemma-lsp: there is nothing to read in {tmp_path}")


def test_nothing_asked_is_nothing_for_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would make something up."""
    (tmp_path / "a.py").write_text("x = 1\n")
    assert asked(monkeypatch, "--dir", str(tmp_path), "--model", "none.gguf", question="  ") == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("gemma-lsp: ask something")


def test_a_model_that_is_not_there_is_said_once_by_the_name_of_the_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What ended badly has no tick."""
    (tmp_path / "a.py").write_text("x = 1\n")
    assert asked(monkeypatch, "--dir", str(tmp_path), "--model", str(tmp_path / "none.gguf")) == 1
    said = capsys.readouterr()
    assert said.err.count("none.gguf, which is not there") == 1
    assert "--model names" in said.err
    assert "✓" not in said.err


def test_serve_says_that_its_log_cannot_be_written(tmp_path: Path) -> None:
    """One line, and exit code 1; the editor's log shows it."""
    done = CliRunner().invoke(app, ["serve", "--log-file", str(tmp_path / "none" / "x.log")])
    assert done.exit_code == 1
    assert "the log cannot be written to" in str(done.exception)
