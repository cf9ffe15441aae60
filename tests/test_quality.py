"""The checks that read the code instead of running it, and the rules of this test suite itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytest_plugins = ["pytester"]


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "--no-cache", "."],
        ["mypy"],
        ["mypy", "--platform", "win32", "--cache-dir", ".mypy_cache/win32"],
        ["mypy", "--platform", "darwin", "--cache-dir", ".mypy_cache/darwin"],
        ["lint-imports", "--no-logo"],
    ],
    ids=lambda command: " ".join(command[:3]),
)
def test_static_check_passes(command: list[str]) -> None:
    """Style, types and the direction of imports, as pyproject.toml configures them."""
    tool = Path(sys.executable).with_name(command[0])
    done = subprocess.run([tool, *command[1:]], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}{done.stderr}"


def test_node_lock_file_names_no_registry() -> None:
    """Everyone installs from their own registry; the integrity digests make sure that it is the same package."""
    lock = json.loads((ROOT / "tests/node/package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert packages
    assert all("resolved" not in package and package["integrity"] for package in packages.values())


NOT_RUN = {
    "skip_mark": "@pytest.mark.skip(reason='why')\ndef test_it(): pass",
    "skip_call": "def test_it(): pytest.skip('why')",
    "skip_in_fixture": "@pytest.fixture\ndef it(): pytest.skip('why')\ndef test_it(it): pass",
    "skip_module": "pytest.importorskip('no_such_module', reason='why')\ndef test_it(): pass",
    "xfail_mark": "@pytest.mark.xfail(reason='why')\ndef test_it(): assert False",
    "xfail_call": "def test_it(): pytest.xfail('why')",
    "xpass": "@pytest.mark.xfail(reason='why', strict=False)\ndef test_it(): pass",
}


def test_a_test_that_does_not_run_fails(pytester: pytest.Pytester) -> None:
    """However a test avoids running, it fails and says so; an ordinary test beside it passes."""
    pytester.makeconftest((ROOT / "tests/conftest.py").read_text())
    pytester.makepyfile(test_ordinary="def test_it(): pass")
    pytester.makepyfile(**{f"test_{name}": f"import pytest\n{body}\n" for name, body in NOT_RUN.items()})
    result = pytester.runpytest_subprocess("--continue-on-collection-errors", "-p", "no:asyncio")
    counts = result.parseoutcomes()
    assert counts.pop("passed") == 1
    assert set(counts) == {"failed", "errors"}
    assert sum(counts.values()) == len(NOT_RUN)
    assert result.stdout.str().count("no test is skipped or expected to fail here") >= len(NOT_RUN)
