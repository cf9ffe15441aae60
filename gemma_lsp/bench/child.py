"""Runs Python that a model wrote in a child process of its own, with limits: does it reach its end?

The child has little memory, little processor time, a wall clock, an empty temporary folder, no network and, unless
allowed, no further processes; `child_inside` gives those up before the program begins. This guards against clumsy
code, not against an attacker. Windows has the wall clock and the refusals only: `missing_limits` says so. Blocks.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

MAX_OUTPUT = 16 * 1024  # characters of a program's output that are kept, from its end
_SCRIPT = Path(__file__).with_name("child_inside.py")
_MISSING = {
    "win32": "on Windows memory, processor time and file sizes of tested code are not limited, only its wall time",
    "darwin": "on macOS the memory of tested code is not limited",
}
_KEPT_VARIABLES = ("SYSTEMROOT", "PATH", "LANG", "LC_ALL")


class Ending(StrEnum):
    """How a program ended: DONE is its end reached; KILLED is a signal, as when it took too much."""

    DONE = "done"
    FAILED = "failed"
    TIMEOUT = "timeout"
    KILLED = "killed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a program may take. With `processes` False it may start none."""

    wall_s: float = 10.0
    cpu_s: int = 8
    memory_mb: int = 1024
    file_mb: int = 16
    processes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """One run. `output` is the end of what it wrote, both streams together."""

    ending: Ending
    output: str
    seconds: float

    @property
    def done(self) -> bool:
        """Whether the program reached its end: a test that calls `sys.exit` early did not."""
        return self.ending is Ending.DONE


LIMITS = Limits()


def missing_limits() -> str:
    """What this system cannot limit, in words; "" where it can limit everything."""
    return _MISSING.get(sys.platform, "")


def run_python(program: str, limits: Limits = LIMITS, folder: Path | None = None) -> Finished:
    """Runs a program's text as `__main__`, in a temporary folder that is then deleted, or in `folder`."""
    with contextlib.ExitStack() as stack:
        at = folder or Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        log = stack.enter_context(tempfile.TemporaryFile())
        word = secrets.token_hex(16)
        asked = {
            "program": program,
            "word": word,
            "folder": str(at),
            "cpu_s": limits.cpu_s,
            "memory": limits.memory_mb << 20,
            "file_bytes": limits.file_mb << 20,
            "processes": int(limits.processes),
        }
        started = time.monotonic()
        child = subprocess.Popen(
            [sys.executable, "-I", "-B", str(_SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=at,
            env=_environment(at),
            start_new_session=True,
        )
        in_time = _wait(child, json.dumps(asked).encode(), limits.wall_s)
        seconds = time.monotonic() - started
        written = _tail(log.fileno())
    ending = _ending(child.returncode, written.endswith(word)) if in_time else Ending.TIMEOUT
    return Finished(ending=ending, output=written.removesuffix(word).rstrip(), seconds=round(seconds, 3))


def _wait(child: subprocess.Popen[bytes], asked: bytes, wall_s: float) -> bool:
    """False if it ran out of time. Whatever it started ends with it."""
    try:
        child.communicate(asked, timeout=wall_s)
        return True
    except subprocess.TimeoutExpired:
        return False
    finally:
        if sys.platform == "win32":
            child.kill()
        else:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _ending(code: int, reached_end: bool) -> Ending:
    if code < 0:
        return Ending.KILLED
    return Ending.DONE if code == 0 and reached_end else Ending.FAILED


def _environment(folder: Path) -> dict[str, str]:
    """Nothing of the user's but what a Python needs to start."""
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    here = str(folder)
    return {**kept, "HOME": here, "TMPDIR": here, "TEMP": here, "PYTHONHASHSEED": "0", "PYTHONIOENCODING": "utf-8"}


def _tail(descriptor: int) -> str:
    size = os.lseek(descriptor, 0, os.SEEK_END)
    os.lseek(descriptor, max(0, size - MAX_OUTPUT), os.SEEK_SET)
    return os.read(descriptor, MAX_OUTPUT).decode("utf-8", errors="replace")
