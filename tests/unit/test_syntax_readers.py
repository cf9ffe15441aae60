"""Files read by several processes: the same as by one, whatever becomes of the others."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from gemma_lsp.base.programs import own_module
from gemma_lsp.syntax import readers
from gemma_lsp.syntax.facts import Facts
from gemma_lsp.syntax.readers import helpers_for, read_all
from gemma_lsp.text import Text

ROOT = Path(__file__).parents[2]


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> dict[str, Text]:
    """Our own source, and what is not so well behaved; in batches of a file or two."""
    monkeypatch.setattr(readers, "BATCH", 6_000)
    found = {
        str(path): Text.normalised(path.read_text("utf-8")) for path in (ROOT / "gemma_lsp" / "syntax").glob("*.py")
    }
    return found | {
        "empty.py": Text(""),
        "broken.py": Text("def f(:\n    x = (1,\n\nclass C:\n    '''open\n"),
        "surrogate.py": Text("s = '\udcff'  # \U0001f40d\n\n\ndef later():\n    return s\n"),
        "long.py": Text("def f():\n" + "    x = compute(x)\n" * 2_000),
    }


def _here(texts: dict[str, Text]) -> dict[str, tuple[Facts, ...]]:
    return dict(read_all(texts, helpers=0))


@pytest.mark.parametrize("helpers", [1, 3])
def test_processes_find_what_one_process_finds(texts: dict[str, Text], helpers: int) -> None:
    found = list(read_all(texts, helpers))
    assert len(found) == len(texts), "each file once"
    assert dict(found) == _here(texts)


def test_processes_do_some_of_the_work(texts: dict[str, Text], monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller reads nothing before a process has answered."""
    wait, answered, here = readers._Work.wait, list[bool](), list[str]()

    def patient(work: readers._Work) -> object:
        with work._changed:
            assert answered or work._changed.wait_for(lambda: bool(work._found), timeout=60)
        answered.append(True)
        batch = wait(work)
        here.extend(batch or ())
        return batch

    monkeypatch.setattr(readers._Work, "wait", patient)
    assert dict(read_all(texts, 1)) == _here(texts)
    assert len(here) < len(texts)


@pytest.mark.parametrize(
    "command",
    [
        [sys.executable, "-c", "pass"],
        [sys.executable, "-c", "import sys; sys.stdin.buffer.read(100); sys.stdout.write('Traceback'); sys.exit(1)"],
        [sys.executable, "-c", "import sys, pickle; sys.stdin.buffer.read(9); sys.stdout.buffer.write(b'\\x80\\x05N')"],
        ["no-such-program-anywhere"],
    ],
    ids=["ends at once", "talks nonsense", "breaks off", "is not there"],
)
def test_nothing_is_lost_with_a_process(
    texts: dict[str, Text], command: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    wait = readers._Work.wait

    def patient(work: readers._Work) -> object:
        end = time.monotonic() + 60
        while "help" not in caplog.text and time.monotonic() < end:  # else all may be read before it is noticed
            time.sleep(0.005)
        return wait(work)

    monkeypatch.setattr(readers._Work, "wait", patient)
    monkeypatch.setattr(readers, "own_module", lambda module: command)
    assert dict(read_all(texts, 2)) == _here(texts)
    assert "help" in caplog.text


def test_who_stops_early_leaves_no_process(texts: dict[str, Text]) -> None:
    found = read_all(texts, 2)
    next(found)
    found.close()
    assert not [child for child in psutil.Process().children() if "gemma_lsp.syntax.reader" in child.cmdline()]


def test_little_is_read_by_one_process() -> None:
    assert helpers_for(100_000) == 0
    assert helpers_for(10**9) <= readers.MOST


def test_a_module_of_the_working_folder_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A repository may well have a package of the same name as one that we import."""
    for name in ("pickle.py", "tree_sitter.py", "gemma_lsp.py"):
        (tmp_path / name).write_text("raise SystemExit('not ours')\n")
    monkeypatch.chdir(tmp_path)
    done = subprocess.run(own_module("gemma_lsp", "--version"), capture_output=True, text=True, timeout=60)
    assert (done.returncode, "not ours" in done.stderr) == (0, False), done.stderr
