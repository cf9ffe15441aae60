"""A backend that computes nothing: which tokens are evaluated is decided by ledger and plan, before any arithmetic.

So the costs of long histories in tokens are known in seconds, with answers of the full length; times and truth are not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from gemma_lsp.engine.backend import Backend, NoSlot, tail_room
from gemma_lsp.engine.messages import ModelInfo, Sampling
from gemma_lsp.engine.recall import Expected
from gemma_lsp.kv.plan import Capabilities
from gemma_lsp.kv.ranges import Ranges, span


class CountingBackend:
    """Implements `engine.backend.Backend` with a real model's vocabulary, window and limits. Answers mean nothing."""

    def __init__(self, model: Backend, n_ctx: int) -> None:
        self._model = model
        self._info = replace(model.info, n_ctx=n_ctx, n_tail=tail_room(n_ctx))
        self._held: dict[int, Ranges] = {}
        self._shifts: list[tuple[Ranges, int]] = []  # positions and how far their cells go with the next batch
        self.n_seq, self.n_trunks, self.n_guard = model.n_seq, model.n_trunks, model.n_guard
        self.n_choices = 1  # an answer that is always the same would be guessed
        self.n_slice, self.bos, self.identity = model.n_slice, model.bos, model.identity
        self.tokenize, self.piece = model.tokenize, model.piece

    @property
    def info(self) -> ModelInfo:
        """The model's, with the context that is pretended."""
        return self._info

    @property
    def can(self) -> Capabilities:
        """The model's."""
        return self._model.can

    def is_end(self, token: int) -> bool:
        """Every answer is as long as it may be: what is generated moves the window."""
        return False

    def tokens_compatible(self, text: bytes) -> list[int]:
        """Nothing is ever constrained."""
        return []

    def evaluate(self, seq: int, position: int, tokens: Sequence[int], logits: bool, abort: Callable[[], bool]) -> None:
        """Takes cells, if there are any."""
        # One trunk is used, and its sequences hold the same cells at the same positions.
        shifts, self._shifts = self._shifts, []
        for holder in list(self._held) if shifts else ():
            self._held[holder] = _shifted(self._held[holder], shifts)
        held = Ranges(piece for ranges in self._held.values() for piece in ranges)
        if len(held) + len(tokens) > self._info.n_ctx:
            raise NoSlot("no free cells")
        self._held[seq] = self._of(seq) | span(position, position + len(tokens))

    def choices(
        self,
        seq: int,
        position: int,
        tokens: Sequence[int],
        abort: Callable[[], bool],
        expected: Sequence[Expected | None] = (),
    ) -> list[int]:
        """Takes cells; there is nothing to choose from."""
        self.evaluate(seq, position, tokens, True, abort)
        return list(tokens)

    def copy(self, source: int, target: int, start: int, stop: int) -> None:
        """Shares positions."""
        self._held[target] = self._of(target) | (self._of(source) & _asked(start, stop))

    def remove(self, seq: int, start: int, stop: int) -> None:
        """Lets positions go."""
        self._held[seq] = self._of(seq) - _asked(start, stop)

    def last_position(self, seq: int) -> int:
        """The sequence's last position, -1 when empty."""
        return max((stop - 1 for _, stop in self._of(seq)), default=-1)

    def try_shifts(self) -> None:
        """Has the model found out."""
        self._model.try_shifts()

    def shift(self, seq: int, start: int, stop: int, delta: int) -> None:
        """Moves positions, with the next batch."""
        self._shifts.append((self._of(seq) & _asked(start, stop), delta))

    def window(self, seq: int) -> bytes:
        """There is no state."""
        return b""

    def set_window(self, seq: int, window: bytes | memoryview) -> None:
        """There is no state."""

    def size(self, seq: int) -> int:
        """There is no state."""
        return 0

    def save(self, seq: int) -> bytes:
        """There is no state."""
        return b""

    def load(self, seq: int, state: bytes | memoryview) -> bool:
        """There is no state."""
        return False

    def sampler(self, sampling: Sampling, history: Sequence[int]) -> SameAgain:
        """A sampler that always says the same."""
        return SameAgain(self.tokenize("x", False)[0])

    def close(self) -> None:
        """Frees the model."""
        self._model.close()

    def _of(self, seq: int) -> Ranges:
        return self._held.get(seq, Ranges())


class SameAgain:
    """Samples one token for ever."""

    def __init__(self, token: int) -> None:
        self._token, self.first_chance = token, 1.0

    def sample(self, allowed: Sequence[int] | None, expected: Expected | None = None) -> int:
        """Always the same."""
        return self._token

    def close(self) -> None:
        """Holds nothing."""


def _shifted(held: Ranges, shifts: Sequence[tuple[Ranges, int]]) -> Ranges:
    """Where cells are after shifts, each of which names them by where they were before any."""
    moved = Ranges((start + delta, stop + delta) for cells, delta in shifts for start, stop in held & cells)
    for cells, _ in shifts:
        held -= cells
    return held | moved


def _asked(start: int, stop: int) -> Ranges:
    return span(max(0, start), stop if stop >= 0 else 1 << 40)
