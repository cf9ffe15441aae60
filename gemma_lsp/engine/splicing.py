"""Carrying out splices on a trunk: new text in the middle, what stands behind it moved. The engine's thread only.

One splice is one step: before it and after it the ledger equals what the backend holds, and requests may come between
two of them. The cells behind the place wait in a scratch sequence, which must be empty, while the new tokens are
evaluated; on a windowed cache the window before the place is computed there first, from cold, and only its sliding half
is carried over, so that the exact cells of the full layers stay.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gemma_lsp.base.errors import EngineError
from gemma_lsp.engine.backend import Backend
from gemma_lsp.engine.trunk import Trunk
from gemma_lsp.kv.plan import Clear, Hide, Reveal, Rewind
from gemma_lsp.kv.splice import Relabel, Splice, SpliceOp, spliced, to_warm

FEW = 8
"""Tokens of the batch that moves the cells: it cannot be cut short."""
Abort = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Scratch:
    """An empty sequence of the backend, and how many tokens before a place are read again for its window."""

    seq: int
    rewarm: int


def apply_splice_op(backend: Backend, trunk: Trunk, op: SpliceOp, scratch: Scratch, abort: Abort) -> int:
    """Carries out one operation of a splice plan; returns how many tokens that took.

    After `Aborted`, and an error while a window is read, the trunk is as before; after any other error it is empty;
    after `ShiftFailed` every trunk is, and its owner must `clear` it.
    """
    match op:
        case Splice():
            return _splice(backend, trunk, op, scratch, abort)
        case Relabel(parts):
            trunk.ledger.relabel(parts)
            return 0
        case Clear() | Hide() | Reveal() | Rewind():
            trunk.apply((op,))
            return 0


def _splice(backend: Backend, trunk: Trunk, op: Splice, scratch: Scratch, abort: Abort) -> int:
    trunk.ledger.lose(len(trunk.ledger))
    warm = to_warm(trunk.ledger, op, scratch.rewarm)
    window = _warmed(backend, trunk, op.start - warm, op.start, scratch.seq, abort) if warm else None
    try:
        _open(backend, trunk, op, window, scratch.seq)
        for at in (0, FEW):
            if some := (op.tokens[:FEW] if at == 0 else op.tokens[FEW:]):
                backend.evaluate(trunk.seq, op.start + at, some, False, _never)
        backend.copy(scratch.seq, trunk.seq, op.start + len(op.tokens), -1)
        backend.remove(scratch.seq, -1, -1)
    except EngineError:
        backend.remove(scratch.seq, -1, -1)
        trunk.clear()
        raise
    spliced(trunk.ledger, op, scratch.rewarm)
    trunk.lookup.rewind(op.start)
    trunk.lookup.extend(trunk.ledger.tokens[op.start :])
    return warm + len(op.tokens)


def _open(backend: Backend, trunk: Trunk, op: Splice, window: bytes | memoryview | None, scratch: int) -> None:
    """Takes out what goes, and moves what stands behind it out of the way."""
    seq, guard, attic = trunk.sequences
    backend.copy(seq, scratch, op.stop, -1)
    backend.remove(seq, op.start, -1)
    backend.remove(guard, op.start, op.stop)
    backend.remove(attic, op.start, op.stop)
    if window is not None:
        backend.set_window(seq, window)
        backend.remove(guard, 0, op.start)
    delta = len(op.tokens) - (op.stop - op.start)
    if delta:  # the guard's cells are shared with one of these, and move with them
        backend.shift(scratch, op.stop, -1, delta)
        backend.shift(attic, op.stop, -1, delta)


def _warmed(backend: Backend, trunk: Trunk, start: int, stop: int, scratch: int, abort: Abort) -> bytes | memoryview:
    """The sliding half of [start, stop), computed in the scratch sequence. The trunk keeps its cells.

    A batch must follow on the last sliding cell, and only another window replaces a window: so the first token is
    computed alone, and the others behind its cell and the trunk's cells of the full layers.
    """
    tokens = trunk.ledger.tokens
    try:
        backend.evaluate(scratch, start, tokens[start : start + 1], False, abort)
        one = backend.window(scratch)
        if start + 1 == stop:
            return one
        backend.remove(scratch, -1, -1)
        backend.copy(trunk.seq, scratch, 0, start + 1)
        backend.set_window(scratch, one)
        _read(backend, scratch, start + 1, tokens[start + 1 : stop], abort)
        return backend.window(scratch)
    finally:
        backend.remove(scratch, -1, -1)


def _read(backend: Backend, seq: int, start: int, tokens: Sequence[int], abort: Abort) -> None:
    for at in range(0, len(tokens), backend.n_slice):
        backend.evaluate(seq, start + at, tokens[at : at + backend.n_slice], False, abort)


def _never() -> bool:
    return False
