"""`bench explain --repo` on a tiny history: what a fix is, when its tests tell something, how ours is scored."""

from __future__ import annotations

import io
import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from gemma_lsp.base.errors import ConfigError, GemmaLspError
from gemma_lsp.bench.bugs.fixes import passes, read_fix, tells
from gemma_lsp.bench.bugs.tasks import TasksError
from gemma_lsp.bench.bugs.upstream import UpstreamOptions, run_upstream
from gemma_lsp.cli import app
from gemma_lsp.cli.bench.explain import print_upstream
from tests.support.scripted import Asked, ScriptedEngine, scripted_model
from tests.unit.test_bench_explain import QUICK

WRONG = "LIMIT = 3\n\n\ndef total(weights):\n    n = 1\n    for weight in weights:\n        n += weight\n    return n\n"
TEST = "from shop.total import total\n\n\ndef test_total():\n    assert total([]) == 0\n"
FIX = "weights):\n    n = 0\n    for weight in weights:\n        n += weight\n    return n\n```"


def git(repo: Path, *args: str) -> str:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", "-C", str(repo), *args]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def commit(repo: Path, files: dict[str, str], title: str) -> str:
    for path, text in files.items():
        (repo / path).parent.mkdir(parents=True, exist_ok=True)
        (repo / path).write_text(text, encoding="utf-8")
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", title)
    return git(repo, "rev-parse", "HEAD")


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """Four commits: the start, a fix with a test, a fix without one, and a change of no function."""
    made = tmp_path / "shop"
    made.mkdir()
    git(made, "init", "-q")
    commit(made, {"shop/total.py": WRONG, "shop/__init__.py": "", "README.md": "# Shop\n"}, "start")
    right = WRONG.replace("n = 1", "n = 0")
    commit(made, {"shop/total.py": right, "tests/test_total.py": TEST}, "Fix the sum")
    right = right.replace("+= weight", "+= max(0, weight)")
    commit(made, {"shop/total.py": right}, "Fix negative weights")
    commit(made, {"shop/total.py": right.replace("LIMIT = 3", "LIMIT = 4")}, "Another limit")
    return made


def model(*answers: str) -> ScriptedEngine:
    def answer(asked: Asked) -> str:
        if asked.text.endswith("def total("):
            return FIX
        return "It begins at 1. `shop/total.py`: `n = 1`"

    return ScriptedEngine(*(answers or (answer,)), model=scripted_model("chat"))


def options(repo: Path, *revs: str) -> UpstreamOptions:
    return UpstreamOptions(repo=repo, revs=revs, settings=QUICK)


def test_a_fix_is_its_definition_before_it(repo: Path) -> None:
    """With the lines that the commit changes, the files of its parent, and the tests that it brings."""
    fix = read_fix(repo, "HEAD~2")
    assert (fix.path, fix.symbol, fix.changed) == ("shop/total.py", "total", {4})
    assert fix.files["shop/total.py"].slice(fix.span) == "    n = 1"
    assert fix.tests == ("tests/test_total.py",)
    assert "tests/test_total.py" not in fix.files
    assert tells(fix)
    assert not passes(fix, fix.files["shop/total.py"])
    assert not tells(read_fix(repo, "HEAD~1"))
    with pytest.raises(TasksError, match="no function"):
        read_fix(repo, "HEAD")
    with pytest.raises(GemmaLspError):
        read_fix(repo, "nothing")


def test_ours_is_scored_against_upstreams(repo: Path, tmp_path: Path) -> None:
    """The same text, the same lines, its tests; what was measured is kept."""
    out = tmp_path / "out.json"
    engine = model()
    found = run_upstream(replace(options(repo, "HEAD~2", "HEAD~1"), json_to=out), lambda n: engine, print)
    first, second = found["rows"]
    assert (first["names"], first["offered"], first["same"], first["touches"], first["passes"]) == (
        True,
        True,
        True,
        1,
        True,
    )
    assert (first["made"], first["found"]) == (1, 1)
    assert (second["tells"], second["passes"], second["offered"]) == (False, None, False)
    assert found["sums"]["passes"]["of"] == 1
    assert all("total([])" not in asked.text for asked in engine.asked[:2])
    engine = model()
    again = run_upstream(replace(options(repo, "HEAD~2", "HEAD~1"), json_to=out), lambda n: engine, print)
    assert engine.asked == []
    assert json.loads(json.dumps(again["rows"])) == json.loads(out.read_text(encoding="utf-8"))["rows"]
    shown = io.StringIO()
    print_upstream(Console(file=shown, width=200), again)
    assert "no test tells" in shown.getvalue()
    assert "same as upstream: 1 of 2" in shown.getvalue()
    out.write_text("[]", encoding="utf-8")
    with pytest.raises(ConfigError, match="something else"):
        run_upstream(replace(options(repo, "HEAD~2"), json_to=out), lambda n: engine, print)


def test_tasks_or_a_repository(repo: Path) -> None:
    """One of both, and a repository with commits."""
    for more in ([], ["--repo", str(repo)], ["--rev", "HEAD"]):
        result = CliRunner().invoke(app, ["bench", "explain", *more])
        assert result.exit_code == 2
        assert "--rev SHA" in " ".join(result.output.replace("│", " ").split())
