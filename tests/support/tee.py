"""Starts a language server and keeps what goes over its standard input and output: `tee.py FOLDER -- COMMAND...`.

Writes `<pid>.client` and `<pid>.server`, the bytes of both sides as they went. Standard library only; a program of its
own, so that any client can be recorded, in whatever language it is written. Its exit code is the server's.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import BinaryIO


def main() -> int:
    """Runs the server until it ends."""
    folder, separator, *command = sys.argv[1:]
    assert separator == "--", "tee.py FOLDER -- COMMAND..."
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert server.stdin is not None
    assert server.stdout is not None
    name = Path(folder) / str(os.getpid())
    said = threading.Thread(target=copy, args=(0, server.stdin, name.with_suffix(".client")), daemon=True)
    said.start()
    copy(server.stdout.fileno(), os.fdopen(1, "wb", buffering=0), name.with_suffix(".server"))
    return server.wait()


def copy(source: int, target: BinaryIO, record: Path) -> None:
    """Passes bytes on as they come, until the source ends or nobody reads the target any more; then closes that."""
    with contextlib.suppress(OSError), open(record, "wb", buffering=0) as kept:
        while data := os.read(source, 65_536):
            kept.write(data)
            target.write(data)
            target.flush()
    with contextlib.suppress(OSError):
        target.close()


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # the thread that reads may wait for a client that has nothing more to say
