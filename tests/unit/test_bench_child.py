"""Untrusted programs in a child process: what they may not do, and how each way to end is told apart."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gemma_lsp.bench.child import Ending, Limits, missing_limits, run_python

SHORT = Limits(wall_s=1.0)


@pytest.mark.parametrize(
    ("program", "ending"),
    [
        ("assert sorted([2, 1]) == [1, 2]", Ending.DONE),
        ("assert False", Ending.FAILED),
        ("def f(:\n", Ending.FAILED),
        ("raise SystemExit(0)", Ending.FAILED),
        ("import os; os._exit(0)", Ending.FAILED),
        ("import os; os.abort()", Ending.KILLED if sys.platform != "win32" else Ending.FAILED),
    ],
)
def test_a_program_is_done_only_when_it_reached_its_end(program: str, ending: Ending) -> None:
    """Leaving early, however politely, is not passing."""
    assert run_python(program).ending is ending


def test_the_end_of_the_output_is_kept() -> None:
    """A failure says what the interpreter said; what was printed before the limit is left out."""
    finished = run_python("print('x' * 100_000)\nprint('the end')\nraise ValueError('why')")
    assert finished.output.endswith("ValueError: why")
    assert "the end" in finished.output
    assert len(finished.output) <= 16 * 1024


@pytest.mark.parametrize("program", ["while True: pass", "input(); import time; time.sleep(60)"])
def test_a_program_that_does_not_end_is_ended(program: str) -> None:
    """One waits, one computes; neither gets input that it could wait for."""
    finished = run_python(program, SHORT)
    assert finished.ending in (Ending.TIMEOUT, Ending.FAILED)
    assert not finished.done


if sys.platform == "linux":  # no other system limits all of it

    @pytest.mark.parametrize(
        ("program", "said"),
        [
            ("x = bytearray(3 << 30)", "MemoryError"),
            ("open('big', 'wb').write(bytes(64 << 20))", "File too large"),
        ],
    )
    def test_memory_and_files_are_limited(program: str, said: str) -> None:
        """More memory than allowed is not had, nor a file that fills the disk."""
        assert said in run_python(program).output

    def test_processor_time_is_limited() -> None:
        """The system ends a busy loop even where the wall clock would not yet."""
        assert run_python("while True: pass", Limits(wall_s=30.0, cpu_s=1)).ending is Ending.KILLED


@pytest.mark.parametrize(
    "program",
    [
        "import socket; socket.create_connection(('127.0.0.1', 9))",
        "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9/')",
        "import subprocess, sys; subprocess.run([sys.executable, '-c', ''])",
        "import os; os.fork()",
        "import os; os.system('true')",
        "import os, signal; os.kill(os.getppid(), 0)",
        "import ctypes; ctypes.CDLL(None)",
    ],
)
def test_network_and_processes_are_refused(program: str) -> None:
    """Each is refused by name, so that a failure says why."""
    finished = run_python(program)
    assert finished.ending is Ending.FAILED
    assert "is refused here" in finished.output


def test_files_outside_the_folder_stay_as_they_are(tmp_path: Path) -> None:
    """Writing, emptying and deleting are refused outside; inside all of it works, and nothing is left over."""
    mine = tmp_path / "mine.txt"
    mine.write_text("keep", encoding="utf-8")
    for program in (
        f"open({str(mine)!r}, 'w')",
        f"import os; os.remove({str(mine)!r})",
        f"import os; os.rename({str(mine)!r}, 'x')",
        f"import shutil; shutil.rmtree({str(tmp_path)!r})",
    ):
        finished = run_python(program)
        assert finished.ending is Ending.FAILED
        assert "is refused here" in finished.output
    assert mine.read_text(encoding="utf-8") == "keep"
    assert run_python("import os\nopen('a', 'w').write('1')\nos.rename('a', 'b')\nassert open('b').read() == '1'").done


def test_files_without_a_name_are_made_in_the_folder() -> None:
    """As pytest makes them to capture output."""
    assert run_python("import tempfile\nwith tempfile.TemporaryFile() as f:\n    f.write(b'x')").done


def test_a_given_folder_is_kept(tmp_path: Path) -> None:
    """A caller that wants the files names the folder."""
    assert run_python("open('out.txt', 'w').write('here')", folder=tmp_path).done
    assert (tmp_path / "out.txt").read_text(encoding="utf-8") == "here"


def test_processes_can_be_allowed() -> None:
    """A project's own tests may start some; they end with it."""
    program = "import subprocess, sys\nsubprocess.run([sys.executable, '-c', ''], check=True)"
    assert run_python(program, Limits(processes=True)).done


def test_nothing_of_the_users_environment_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token in a variable stays with the user."""
    monkeypatch.setenv("A_SECRET_TOKEN", "hunter2")
    assert run_python("import os; assert 'hunter2' not in str(dict(os.environ))").done


def test_what_a_system_cannot_limit_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """In words that a report can show."""
    said = {}
    for name in ("linux", "win32", "darwin"):
        monkeypatch.setattr(sys, "platform", name)
        said[name] = missing_limits()
    assert said["linux"] == ""
    assert "Windows" in said["win32"]
    assert "macOS" in said["darwin"]
