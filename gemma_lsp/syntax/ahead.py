"""Trees made ahead of whoever reads them, in one more thread: tree-sitter parses without holding Python's lock.

For one reader. At most `_AHEAD` trees are there at a time, each some 32 bytes a byte of source.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from tree_sitter import Tree

from gemma_lsp.syntax import grammar
from gemma_lsp.syntax.source import Source
from gemma_lsp.text import Text

_AHEAD = 2

Parsed = tuple[Source, Tree]


def parsed_ahead(texts: Iterable[Text | None]) -> Generator[Parsed | None, None, None]:
    """Each text with its tree, in order; None for None. Whoever stops early has to close the iterator."""
    pool = ThreadPoolExecutor(1, thread_name_prefix="parsing")
    waiting: deque[Future[Parsed] | None] = deque()
    try:
        for text in texts:
            waiting.append(None if text is None else pool.submit(_parsed, text))
            if len(waiting) > _AHEAD:
                yield _result(waiting.popleft())
        while waiting:
            yield _result(waiting.popleft())
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _parsed(text: Text) -> Parsed:
    source = Source(text)
    return source, grammar.tree_of(source.data)


def _result(future: Future[Parsed] | None) -> Parsed | None:
    return None if future is None else future.result()
