"""`gemma-lsp index`: what is in the prompt is told as it is laid out, and what is not is told, too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gemma_lsp.base.errors import ModelMissing
from gemma_lsp.cli import app, engines, main
from gemma_lsp.cli.index import IndexOptions, make_report
from gemma_lsp.config.load import Source, Strength

FUNCTION = 'def f{n}(x: int) -> int:\n    """Adds {n}."""\n    print(x)\n    print({n})\n    return x + {n}\n\n\n'


@pytest.fixture(autouse=True)
def no_user_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have settings of their own."""
    monkeypatch.setattr(engines, "user_source", lambda: Source(strength=Strength.USER_FILE, origin="none"))


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two modules, a README, a secret and a hidden folder."""
    (tmp_path / "small.py").write_text("LIMIT = 3\n")
    (tmp_path / "large.py").write_text("".join(FUNCTION.replace("{n}", str(n)) for n in range(30)))
    (tmp_path / "README.md").write_text("# Sample\n")
    (tmp_path / ".env").write_text("TOKEN=1\n")
    (tmp_path / "build").mkdir()
    return tmp_path


def index(*arguments: str) -> dict[str, object]:
    done = CliRunner().invoke(app, ["index", *arguments, "--estimate", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def test_what_fits_stands_in_full_and_in_order(repository: Path) -> None:
    """Tokens add up, the order counts from one, and what was left out is said with its reason."""
    found = index(str(repository))
    files = found["files"]
    assert isinstance(files, list)
    assert [file["order"] for file in files] == [1, 2, 3]
    assert {file["form"] for file in files} == {"full"}
    assert sum(file["tokens"] for file in files) == found["tokens"]
    assert found["counted"] is False
    assert found["skipped"] == {".env": "a secret by its name", "build/": "generated"}


def test_a_folder_without_anything_to_read_is_named(tmp_path: Path) -> None:
    """With the kinds of files that are read, and what was left out."""
    (tmp_path / "main.go").write_text("package main\n")
    (tmp_path / "node_modules").mkdir()
    done = CliRunner().invoke(app, ["index", str(tmp_path), "--estimate"])
    assert done.exit_code == 0
    assert f"there is nothing to read in {tmp_path}: Python files, README files" in done.stdout
    assert "installed packages: node_modules/" in done.stdout


def test_a_small_budget_takes_outlines(repository: Path) -> None:
    """Nothing exceeds the budget, and the form is told."""
    found = index(str(repository), "--budget", "900")
    files = {file["path"]: file for file in found["files"]}  # type: ignore[attr-defined]
    assert files["large.py"]["form"] == "skeleton"
    assert found["budget"] == 900
    assert int(str(found["tokens"])) <= 900


def test_a_file_without_room_has_no_order(repository: Path) -> None:
    """It is listed all the same."""
    files = index(str(repository), "--budget", "1")["files"]
    assert isinstance(files, list)
    assert {(file["form"], file["order"]) for file in files} == {("absent", None)}


def test_people_get_a_table(repository: Path) -> None:
    """With the sums and the reasons."""
    done = CliRunner().invoke(app, ["index", str(repository), "--estimate"])
    assert done.exit_code == 0
    assert "the whole repository fits" in done.stdout
    assert "3 full;" in done.stdout
    assert "left out, a secret by its name: .env" in done.stdout


async def test_a_named_model_that_is_not_there_is_an_error(repository: Path) -> None:
    """Guessing would hide the mistake."""
    with pytest.raises(ModelMissing):
        await make_report(IndexOptions(root=repository, model=str(repository / "none.gguf")))


def test_errors_are_one_line_on_stderr(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No traceback reaches a person."""
    monkeypatch.setattr("sys.argv", ["gemma-lsp", "index", str(repository), "--model", "none.gguf"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("gemma-lsp: --model names none.gguf")
    assert said.err.count("\n") == 1
