"""One resident sequence with its guard and attic, and the carrying out of plans on it. The engine's thread only.

Invariant: after every method the ledger equals what the backend holds, or the trunk is empty on both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from gemma_lsp.base.errors import DecodeFailed
from gemma_lsp.engine.backend import Aborted, Backend
from gemma_lsp.engine.snapshots import Loaded, restored_ledger
from gemma_lsp.kv.guard import Share, guard_ops
from gemma_lsp.kv.ledger import Ledger
from gemma_lsp.kv.plan import Clear, Hide, Op, Reveal, Rewind, Wanted
from gemma_lsp.kv.ranges import span


class Trunk:
    """Sequences `seq` (attended to), `guard` (shares window cells) and `attic` (holds hidden cells)."""

    def __init__(self, backend: Backend, seq: int, guard: int, attic: int) -> None:
        self._backend = backend
        self.seq, self._guard, self._attic = seq, guard, attic
        self.ledger = Ledger(backend.info.n_swa)
        # A sequence without an attic of its own has nowhere to keep what it hides.
        self.can = replace(backend.can, hide=backend.can.hide and attic != seq)

    @property
    def sequences(self) -> tuple[int, int, int]:
        """The three sequence numbers."""
        return self.seq, self._guard, self._attic

    def apply(self, ops: Sequence[Op]) -> None:
        """Carries out the operations of a plan."""
        for op in ops:
            match op:
                case Clear():
                    self.clear()
                case Rewind(length):
                    for seq in (self.seq, self._guard, self._attic):
                        self._backend.remove(seq, length, -1)
                    self.ledger.rewind(length)
                case Hide(start, stop):
                    self._pin(start, stop)
                    self._backend.copy(self.seq, self._attic, start, stop)
                    self._backend.remove(self.seq, start, stop)
                    self.ledger.hide(start, stop)
                case Reveal(start, stop):
                    self._backend.copy(self._attic, self.seq, start, stop)
                    self._backend.remove(self._attic, start, stop)
                    self.ledger.reveal(start, stop)

    def save(self) -> bytes | memoryview:
        """The state, for a snapshot; only of a trunk that hides nothing."""
        if self.ledger.hidden:
            raise ValueError("a trunk with hidden tokens is not saved")
        return self._backend.save(self.seq)

    def restore(self, loaded: Loaded) -> bool:
        """Fills the empty trunk from a snapshot; False, and still empty, if the state does not fit."""
        if not self._backend.load(self.seq, loaded.state):
            return False
        if self._backend.last_position(self.seq) != len(loaded.tokens) - 1:
            self.clear()
            return False
        revision = self.ledger.revision
        self.ledger = restored_ledger(self.ledger.n_swa, loaded.tokens, loaded.runs)
        self.ledger.revision = revision + 1
        return True

    def clear(self) -> None:
        """Empties all three sequences."""
        for seq in (self.seq, self._guard, self._attic):
            self._backend.remove(seq, -1, -1)
        self.ledger.clear()

    def evaluate_parts(
        self,
        parts: Sequence[tuple[Wanted, int, Sequence[int]]],
        flat: Sequence[int],
        *,
        ends: tuple[int, int],
        logits: bool,
        abort: Callable[[], bool],
    ) -> None:
        """Appends one batch made of (segment, offset, tokens) parts; `flat` is their concatenation.

        After `Aborted` and `NoSlot` the trunk is as before; after `DecodeFailed` it is empty.
        """
        self._share(ends)
        start = len(self.ledger)
        try:
            self._backend.evaluate(self.seq, start, flat, logits, abort)
        except Aborted:
            self.ledger.lose(start)
            self._verify()
            raise
        except DecodeFailed:
            self.clear()
            raise
        self.ledger.lose(start)
        for part, offset, tokens in parts:
            self.ledger.append(part.key, part.region, tokens, part.offset + offset)

    def _pin(self, start: int, stop: int) -> None:
        """Shares what is left of a range's sliding cells, so that it can come back into the window whole."""
        for first, last in (span(start, stop) & self.ledger.sliding) - self.ledger.guarded:
            self._backend.copy(self.seq, self._guard, first, last)
            self.ledger.guard(first, last)

    def _share(self, ends: tuple[int, int]) -> None:
        if self._guard == self.seq:  # the side sequence is never rewound
            return
        for op in guard_ops(self.ledger, ends, self._backend.n_guard):
            if isinstance(op, Share):
                self._backend.copy(self.seq, self._guard, op.start, op.stop)
                self.ledger.guard(op.start, op.stop)
            else:
                self._backend.remove(self._guard, op.start, op.stop)
                self.ledger.unguard(op.start, op.stop)

    def _verify(self) -> None:
        if self._backend.last_position(self.seq) != len(self.ledger) - 1:
            self.clear()
