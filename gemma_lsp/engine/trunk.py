"""One resident sequence with its guard and attic, and the carrying out of plans on it. The engine's thread only.

Invariant: after every method the ledger equals what the backend holds, or the trunk is empty on both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from gemma_lsp.base.errors import DecodeFailed
from gemma_lsp.engine.backend import Aborted, Backend
from gemma_lsp.engine.lookup import Lookup
from gemma_lsp.engine.snapshots import Loaded, restored_ledger
from gemma_lsp.kv.guard import Share, guard_ops
from gemma_lsp.kv.ledger import Ledger
from gemma_lsp.kv.plan import HIDEABLE, Clear, Hide, Op, Reveal, Rewind, Wanted
from gemma_lsp.kv.ranges import span

if TYPE_CHECKING:
    from gemma_lsp.engine.recall import Expected

T = TypeVar("T")


class Trunk:
    """Sequences `seq` (attended to), `guard` (shares window cells) and `attic` (holds hidden cells)."""

    def __init__(self, backend: Backend, seq: int, guard: int, attic: int, side: Trunk | None = None) -> None:
        self._backend = backend
        self.side = side  # whose sequence is free for a moment, if it is emptied first
        self.seq, self._guard, self._attic = seq, guard, attic
        self.ledger = Ledger(backend.info.n_swa)
        self.lookup = Lookup()
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
                    self.lookup.rewind(length)
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
        """The state, for a snapshot; only of a trunk that hides nothing and was never spliced."""
        if self.ledger.hidden or any(run.approximate for run in self.ledger.runs):
            raise ValueError("a trunk with hidden or moved tokens is not saved")
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
        self.lookup.extend(loaded.tokens)
        return True

    def clear(self) -> None:
        """Empties all three sequences."""
        for seq in (self.seq, self._guard, self._attic):
            self._backend.remove(seq, -1, -1)
        self.ledger.clear()
        self.lookup.rewind(0)

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
        self._append(parts, ends, lambda start: self._backend.evaluate(self.seq, start, flat, logits, abort))
        self.lookup.extend(flat)

    def verify(
        self,
        part: tuple[Wanted, int, Sequence[int]],
        *,
        ends: tuple[int, int],
        abort: Callable[[], bool],
        expected: Sequence[Expected | None] = (),
    ) -> list[int]:
        """Appends one token and guesses of what follows; returns the most probable token after each of them.

        Fails as `evaluate_parts` does. The guesses that are not true are to be taken back (`take_back`).
        """
        tokens = part[2]
        chosen = self._append(
            (part,), ends, lambda start: self._backend.choices(self.seq, start, tokens, abort, expected)
        )
        self.lookup.extend(tokens)
        return chosen

    def take_back(self, length: int) -> None:
        """Removes the last few tokens, of a batch just appended. Exact, or the trunk is empty afterwards.

        The batch was given cells when it began, so the window before its first token is there, and that before each of
        the others is made of that and of the batch; the ledger proves it again.
        """
        if length == len(self.ledger):
            return
        if self.ledger.can_rewind(length, exact=False):  # no worse than it was before the batch
            self.apply((Rewind(length),))
        else:
            self.clear()

    def shed(self) -> bool:
        """Lets go of what requests have left behind the head, if the head stays as it is; whether anything went."""
        end = max((run.stop for run in self.ledger.runs if run.region in HIDEABLE), default=0)
        return self._shorten(end)

    def give(self, n: int) -> bool:
        """Lets go of at least so many tokens at the end, if what is before them stays as it is; whether it did."""
        return self._shorten(len(self.ledger) - n)

    def _shorten(self, end: int) -> bool:
        end = next((start for start, stop in self.ledger.hidden if start < end <= stop), end)  # none is the last
        if not 0 < end < len(self.ledger) or not self.ledger.can_rewind(end, exact=False):
            return False
        self.apply((Rewind(end),))
        return True

    def _append(
        self, parts: Sequence[tuple[Wanted, int, Sequence[int]]], ends: tuple[int, int], compute: Callable[[int], T]
    ) -> T:
        self._share(ends)
        start = len(self.ledger)
        try:
            result = compute(start)
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
        return result

    def _pin(self, start: int, stop: int) -> None:
        """Shares what is left of a range's sliding cells, so that it can come back into the window whole."""
        there = self.ledger.sliding | self.ledger.warmed
        for first, last in (span(start, stop) & there) - self.ledger.guarded:
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
