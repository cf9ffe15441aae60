"""The first thing a child process runs: it gives up what it does not need, then runs the program it was sent.

Standard library only: it is started as a file, without the package. Raises nothing that its parent could read; what
the parent reads is the exit code and, as the last line of its output, the word that says the program reached its end.
A guard against accidents and clumsy generated code, not a sandbox for an attacker.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from collections.abc import Callable
from typing import Any

_NEW_USERS, _NEW_NETWORK = 0x10000000, 0x40000000  # CLONE_NEWUSER, CLONE_NEWNET of Linux
_REFUSED = ("socket.", "ctypes.", "signal.pthread_kill", "os.kill", "os.killpg", "os.chroot", "webbrowser.")
_PROCESSES = ("subprocess.", "os.fork", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "os.startfile", "pty.")
_CHANGES = (
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.mkdir",
    "os.link",
    "os.symlink",
    "os.chmod",
    "os.chown",
    "os.truncate",
)
_TREES = ("shutil.rmtree", "shutil.move")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def main() -> None:
    """Reads one JSON object {program, word, folder, cpu_s, memory, file_bytes, processes} and runs the program."""
    asked: dict[str, Any] = json.loads(sys.stdin.buffer.read())
    refuse_network = not _without_network()
    _limit(asked)
    code = compile(asked["program"], "program.py", "exec")
    names = {"__name__": "__main__", "__builtins__": __builtins__}
    sys.addaudithook(_guard(asked["folder"], alone=asked["processes"] == 0, offline=refuse_network))
    exec(code, names)
    sys.stdout.flush()
    os.write(1, f"\n{asked['word']}".encode())


def _limit(asked: dict[str, Any]) -> None:
    """The limits that the system enforces; Windows has none of them."""
    if sys.platform != "win32":
        import resource

        wanted = {
            resource.RLIMIT_CPU: asked["cpu_s"],
            resource.RLIMIT_AS: asked["memory"],
            resource.RLIMIT_FSIZE: asked["file_bytes"],
            resource.RLIMIT_CORE: 0,
        }
        for what, limit in wanted.items():
            most = resource.getrlimit(what)[1]
            value = limit if most == resource.RLIM_INFINITY else min(limit, most)
            try:
                resource.setrlimit(what, (value, value))
            except (ValueError, OSError):
                continue  # macOS refuses RLIMIT_AS; the others still hold


def _without_network() -> bool:
    """Leaves the network for an empty one; False where the system does not let us (then sockets are refused)."""
    left = False
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        left = any(libc.unshare(what) == 0 for what in (_NEW_NETWORK, _NEW_USERS | _NEW_NETWORK))
    return left


def _guard(folder: str, *, alone: bool, offline: bool) -> Callable[[str, tuple[Any, ...]], None]:
    """Refuses sockets, other processes if `alone`, and changes to files outside the folder."""
    home = os.path.realpath(folder) + os.sep

    def inside(path: Any) -> bool:
        if not isinstance(path, str | bytes | os.PathLike):
            return True  # a descriptor that was opened under these rules
        # The folder itself is named where a file without a name is made in it.
        return (os.path.realpath(os.fsdecode(path)) + os.sep).startswith(home) or os.fsdecode(path) == os.devnull

    def guard(event: str, args: tuple[Any, ...]) -> None:
        if event.startswith(_REFUSED) and (alone or not event.startswith(("ctypes.", "os.kill"))):
            if event.startswith("socket.") and not (offline or alone):
                return
            raise PermissionError(f"{event} is refused here")
        if alone and event.startswith(_PROCESSES):
            raise PermissionError(f"{event} is refused here")
        if event == "open" and args[2] & _WRITING and not inside(args[0]):
            raise PermissionError(f"writing to {args[0]!r} is refused here")
        if event.startswith((*_CHANGES, *_TREES)) and not inside(args[0]):
            raise PermissionError(f"changing {args[0]!r} is refused here")

    return guard


if __name__ == "__main__":
    main()
