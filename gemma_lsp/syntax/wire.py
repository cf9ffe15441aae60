"""What readers in other processes are sent and send back: pickles, between processes of one installation."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from operator import attrgetter
from typing import IO, Any

from gemma_lsp.syntax.types import Chunk, Import
from gemma_lsp.text import Span

FAILURES = (OSError, EOFError, pickle.UnpicklingError, ValueError, AttributeError, ImportError, IndexError)
"""What `receive` raises, and `send` where nobody listens (the library's reference on `pickle` names them)."""


def receive(stream: IO[bytes]) -> Any:
    """The next message. Raises `FAILURES`, `EOFError` where there is none."""
    return pickle.load(stream)


def send(stream: IO[bytes], message: object) -> None:
    """Writes one message. A third of the time that pickle takes of its own accord: it asks each small object in Python
    what it holds.
    """
    pickler = pickle.Pickler(stream, pickle.HIGHEST_PROTOCOL)
    pickler.dispatch_table = _REDUCED
    pickler.dump(message)
    stream.flush()


def _reduced(
    made: Callable[..., object], *fields: str
) -> Callable[[Any], tuple[Callable[..., object], tuple[Any, ...]]]:
    get = attrgetter(*fields)
    return lambda it: (made, get(it))


def _chunk(*fields: Any) -> Chunk:
    return Chunk(**dict(zip(Chunk.__slots__, fields, strict=True)))


_REDUCED = {
    Span: _reduced(Span, *Span.__slots__),
    Import: _reduced(Import, *Import.__slots__),
    Chunk: _reduced(_chunk, *Chunk.__slots__),
}
