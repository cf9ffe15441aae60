"""Many files read at once: by the calling thread and, where it pays, by processes beside it.

Processes, not threads: tree-sitter's Python binding holds the interpreter's lock (GIL) while it parses. Each file is
read once, and where a process fails the caller reads its files: the result never depends on how many there were.
"""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager

from gemma_lsp.base.programs import own_module
from gemma_lsp.syntax import reader
from gemma_lsp.syntax.facts import Facts
from gemma_lsp.syntax.reading import pieces_of
from gemma_lsp.syntax.wire import FAILURES, receive, send
from gemma_lsp.text import Text

Pieces = tuple[Facts, ...]

log = logging.getLogger(__name__)

BATCH = 32_768  # code points that are handed over together: some 15 ms of work
GIVEN = 2  # batches that a process has: while it waited for us, who may hold the lock, it would do nothing
WORTH = 600_000  # code points for each process: one takes some 0.15 s to start
MOST = 3  # processes; each holds some 30 MB until all is read
_POLL_S = 0.05


def helpers_for(n: int) -> int:
    """How many processes help to read so many code points."""
    return max(0, min(MOST, _cores() - 1, n // WORTH))


def _cores() -> int:
    """Those that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    else:  # for the type checker, which looks at one system at a time
        return os.cpu_count() or 1


def read_all(texts: Mapping[str, Text], helpers: int | None = None) -> Generator[tuple[str, Pieces]]:
    """The pieces of each file, in no order to rely on. Whoever stops early has to close the iterator."""
    if helpers is None:
        helpers = helpers_for(sum(len(text.content) for text in texts.values()))
    if not helpers:
        for path, text in texts.items():
            yield path, pieces_of(text)
        return
    work = _Work(texts)
    with _helping(work, helpers):
        while (batch := work.wait()) is not None:
            yield from work.results()
            for path in batch:
                yield path, pieces_of(texts[path])
        yield from work.results()


class _Work:
    """Batches that are taken by whoever is free. Any thread."""

    def __init__(self, texts: Mapping[str, Text]) -> None:
        self.texts = texts
        self._left = deque(_batches(texts))
        self._found: deque[tuple[str, Pieces]] = deque()
        self._given = 0  # batches that processes have
        self._changed = threading.Condition()

    def take(self) -> Sequence[str] | None:
        """A batch for a process, or None when nothing is left."""
        with self._changed:
            if not self._left:
                return None
            self._given += 1
            return self._left.popleft()

    def give_back(self, batch: Sequence[str], pieces: Sequence[Pieces] | None) -> None:
        """What a process made of a batch; None: nothing, somebody else has to do it."""
        with self._changed:
            self._given -= 1
            if pieces is None:
                self._left.append(batch)
            else:
                self._found.extend(zip(batch, pieces, strict=True))
            self._changed.notify_all()

    def wait(self) -> Sequence[str] | None:
        """A batch for the caller; empty while processes have the rest; None when all is done."""
        with self._changed:
            if self._left:
                return self._left.popleft()
            if not self._given:
                return None
            self._changed.wait(_POLL_S)
            return ()

    def results(self) -> Iterator[tuple[str, Pieces]]:
        """What processes have made since the last call."""
        while self._found:
            yield self._found.popleft()


def _batches(texts: Mapping[str, Text]) -> Iterator[Sequence[str]]:
    batch, n = list[str](), 0
    for path, text in texts.items():
        batch.append(path)
        n += len(text.content)
        if n >= BATCH:
            yield batch
            batch, n = [], 0
    if batch:
        yield batch


@contextmanager
def _helping(work: _Work, n: int) -> Iterator[None]:
    """Processes that take work until there is none; stopped at the end, whatever they do."""
    stop = threading.Event()
    threads = [threading.Thread(target=_serve, args=(work, stop), name=f"reader-{at}", daemon=True) for at in range(n)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _serve(work: _Work, stop: threading.Event) -> None:
    """Hands batches to one process. Bound: a batch that is under way is waited for, some 30 ms."""
    flags = 0x08000000 if sys.platform == "win32" else 0  # CREATE_NO_WINDOW
    command = own_module(reader.__name__)
    pipe, null = subprocess.PIPE, subprocess.DEVNULL
    try:
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=null, creationflags=flags)
    except OSError as error:
        log.warning("no process helps to read files: %s", error)
        return
    given: deque[Sequence[str]] = deque()
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            while True:
                while len(given) < GIVEN and not stop.is_set() and (batch := work.take()) is not None:
                    given.append(batch)
                    send(process.stdin, [work.texts[path].content for path in batch])
                if not given:
                    break
                pieces = receive(process.stdout)
                work.give_back(given.popleft(), pieces)
        except FAILURES as error:
            log.warning("a process that helped to read files is gone: %r", error)
        finally:
            for batch in given:
                work.give_back(batch, None)
        process.kill()
        with contextlib.suppress(OSError):
            process.stdin.close()
