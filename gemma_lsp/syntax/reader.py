"""A process that reads files for another (`readers`): batches of texts come in, what stands in them goes out.

Ends when its input does. Its standard output carries messages and nothing else.
"""

from __future__ import annotations

import contextlib
import os
import sys
from queue import SimpleQueue
from threading import Thread

from gemma_lsp.syntax.reading import pieces_of
from gemma_lsp.syntax.wire import FAILURES, receive, send
from gemma_lsp.text import Text


def main() -> None:
    """Answers batches until there are no more. What the parser prints, if anything, goes to the error stream."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    batches: SimpleQueue[list[str] | None] = SimpleQueue()
    Thread(target=_take_in, args=(batches,), daemon=True).start()
    while (batch := batches.get()) is not None:
        send(answers, [pieces_of(Text(content)) for content in batch])


def _take_in(batches: SimpleQueue[list[str] | None]) -> None:
    """Reads at all times, so that whoever writes to us never waits for us to be read."""
    with contextlib.suppress(*FAILURES):
        while True:
            batches.put(receive(sys.stdin.buffer))
    batches.put(None)


if __name__ == "__main__":
    main()
