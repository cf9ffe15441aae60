"""In which order files stand, how near they are to the work, and what git says about their changes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemma_lsp.syntax.index import Index, build
from gemma_lsp.syntax.order import EditOdds, dependency_order, edit_cost, relevance, stable_order
from gemma_lsp.syntax.volatility import commit_shares
from gemma_lsp.text import Text
from gemma_lsp.workspace import WorkspaceSnapshot

FILES = {
    "README.md": "# Parcels\n",
    "parcels/app.py": "from parcels import rates, money\ndef run(): return rates.find_rate(money.Money(1))\n",
    "parcels/money.py": "class Money:\n    pass\n",
    "parcels/rates.py": "from parcels.money import Money\ndef find_rate(price): return Money(price)\n",
    "tests/test_app.py": "from parcels.app import run\ndef test(): run()\n",
}


def index_of(files: dict[str, str]) -> Index:
    return build(WorkspaceSnapshot(root=None, name="w", files={path: Text(text) for path, text in files.items()}))


def test_definitions_stand_before_their_users_and_prose_first() -> None:
    """Where nothing is known about edits, dependency alone decides."""
    expected = ("README.md", "parcels/money.py", "parcels/rates.py", "parcels/app.py", "tests/test_app.py")
    assert stable_order(index_of(FILES), EditOdds()) == expected


def test_what_changes_most_stands_last() -> None:
    """A commit history, an open file and a fresh edit each move a file to the right, in that order of weight."""
    odds = EditOdds(
        volatility={"parcels/money.py": 0.1},
        open_paths=frozenset({"parcels/rates.py"}),
        recency={"README.md": 1.0, "parcels/rates.py": 1.0, "parcels/app.py": 0.0},
    )
    order = stable_order(index_of(FILES), odds)
    assert order[:2] == ("parcels/app.py", "tests/test_app.py")
    assert order[2] == "parcels/money.py"
    assert set(order[3:]) == {"README.md", "parcels/rates.py"}


def test_of_two_equally_edited_files_the_small_one_stands_last() -> None:
    """An edit costs what stands to its right, so the large one goes left: the least total cost."""
    index = index_of({"large.py": "x = 1\n" * 20_000, "small.py": "x = 1\n"})
    odds = EditOdds(volatility={"large.py": 0.5, "small.py": 0.5})
    assert edit_cost(index, "large.py", odds) < edit_cost(index, "small.py", odds)
    assert stable_order(index, odds) == ("large.py", "small.py")


@settings(deadline=None)
@given(st.permutations(sorted(FILES)))
def test_the_order_does_not_depend_on_how_the_files_were_found(paths: list[str]) -> None:
    """The same files give the same prompt on every machine."""
    assert stable_order(index_of({path: FILES[path] for path in paths}), EditOdds()) == stable_order(
        index_of(FILES), EditOdds()
    )


def test_a_cycle_of_imports_is_entered_at_its_first_path() -> None:
    """Every file stands in the order once, however the imports run."""
    index = index_of({"c.py": "import a\n", "a.py": "import b\n", "b.py": "import c\n", "z.py": "import a\n"})
    assert dependency_order(index) == ("c.py", "b.py", "a.py", "z.py")


def test_a_long_chain_of_imports_is_no_recursion() -> None:
    """Deeper than Python's stack."""
    files = {f"m{n:04}.py": f"import m{n + 1:04}\n" for n in range(2_000)}
    assert dependency_order(index_of(files))[0] == "m1999.py"


def test_relevance_follows_uses_from_the_focus() -> None:
    """What the focus uses comes first, what uses it next, and what has nothing to do with it last."""
    files = {
        **FILES,
        "other/a.py": "def unrelated_helper(): pass\n",
        "other/b.py": "from other.a import unrelated_helper\nunrelated_helper()\n",
    }
    ranks = relevance(index_of(files), ["parcels/rates.py"])
    assert sum(ranks.values()) == pytest.approx(1)
    assert ranks["parcels/rates.py"] == max(ranks.values())
    assert ranks["parcels/money.py"] > ranks["parcels/app.py"] > ranks["tests/test_app.py"] > ranks["README.md"]
    assert ranks["parcels/app.py"] > ranks["other/a.py"]


def test_telling_names_weigh_more_than_private_and_common_ones() -> None:
    """Of two files that the focus uses once each."""
    files = {"telling.py": "def find_the_rate(): pass\n", "private.py": "def _rate(): pass\n"}
    files |= {f"common{n}.py": "def run(): pass\n" for n in range(7)}
    ranks = relevance(index_of({**files, "user.py": "find_the_rate(), _rate(), run()\n"}), ["user.py"])
    assert ranks["telling.py"] > 3 * ranks["private.py"]
    assert ranks["private.py"] == pytest.approx(ranks["common0.py"], rel=0.5)


def test_relevance_without_a_focus_favours_what_is_used() -> None:
    """Unknown paths in the focus count as none; without files there is nothing to rank."""
    index = index_of(FILES)
    ranks = relevance(index, ["gone.py"])
    assert ranks == relevance(index, [])
    assert ranks["parcels/money.py"] > ranks["README.md"]
    assert relevance(index_of({}), ["a.py"]) == {}


def git(root: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.com", "-c", "commit.gpgsign=false"]
    command = ["git", *identity, "-c", "core.hooksPath=/dev/null", *arguments]
    subprocess.run(command, cwd=root, check=True, capture_output=True, timeout=60)


def commit(root: Path, **files: str) -> None:
    for name, content in files.items():
        (root / f"{name}.py").write_text(content)
    git(root, "add", "-A")
    git(root, "commit", "-qm", "change")


def test_shares_of_commits_come_from_git(tmp_path: Path) -> None:
    """Recent commits weigh a little more; paths are relative to the folder that was asked about."""
    git(tmp_path, "init", "-q")
    (tmp_path / "pkg").mkdir()
    commit(tmp_path, a="1", b="1", ü="1", **{"pkg/c": "1"})
    commit(tmp_path, a="2")
    commit(tmp_path, a="3", **{"pkg/c": "2"})
    shares = commit_shares(tmp_path)
    assert set(shares) == {"a.py", "b.py", "ü.py", "pkg/c.py"}
    assert shares["a.py"] == pytest.approx(1)
    assert 0.3 < shares["b.py"] < 1 / 3 < 0.6 < shares["pkg/c.py"] < 0.7
    assert set(commit_shares(tmp_path / "pkg")) == {"c.py"}


def test_nothing_that_a_repository_configures_is_run(tmp_path: Path) -> None:
    """A signature check would start a program of the repository's choice."""
    git(tmp_path, "init", "-q")
    commit(tmp_path, a="1")
    program = tmp_path / "program.sh"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/was-run\n")
    program.chmod(0o755)
    for setting in ("gpg.program", "core.fsmonitor", "core.pager", "diff.external"):
        git(tmp_path, "config", setting, str(program))
    git(tmp_path, "config", "log.showSignature", "true")
    assert set(commit_shares(tmp_path)) == {"a.py"}
    assert not (tmp_path / "was-run").exists()


def test_without_a_repository_or_without_git_there_are_no_shares(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor where git does not answer in time."""
    assert commit_shares(tmp_path) == {}
    git(tmp_path, "init", "-q")
    assert commit_shares(tmp_path) == {}
    commit(tmp_path, a="1")
    assert commit_shares(tmp_path, timeout_s=0.000_001) == {}
    monkeypatch.setenv("PATH", os.devnull)
    assert commit_shares(tmp_path) == {}
