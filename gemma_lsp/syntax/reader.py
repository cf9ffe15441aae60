"""A process that reads files for another (`readers`): batches of texts come in, what stands in them goes out.

Ends when its input does. Its standard output carries messages and nothing else.
"""

from __future__ import annotations

import os
import sys

from gemma_lsp.syntax.reading import pieces_of
from gemma_lsp.syntax.wire import receive, send
from gemma_lsp.text import Text


def main() -> None:
    """Answers batches until there are no more. What the parser prints, if anything, goes to the error stream."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    while True:
        try:
            batch: list[str] = receive(sys.stdin.buffer)
        except EOFError:
            return
        send(answers, [pieces_of(Text(content)) for content in batch])


if __name__ == "__main__":
    main()
