"""Whether guessing the next tokens pays: what batches cost here, and how often guesses come true.

A batch of several tokens costs more than one, and how much more depends on the model and the machine: it is measured
while it is used. The engine's thread only.
"""

from __future__ import annotations

from collections import deque
from statistics import median

from gemma_lsp.engine.lookup import LONGEST, Found

SIZES = (4, 8)
"""Tokens of a batch with guesses: one that is certain and the guesses. llama.cpp's CPU kernels work in fours."""

_GAIN = 1.05  # what a guess must promise; less is within what the estimates are worth
_HOPED = 1.5  # times one token's cost, until a size has been tried: worth a try where guesses come true
_SAMPLES = 5
_PATIENCE = 200  # guesses not tried after which costs are measured again; each time it takes twice as many
_WEIGHT = 4.0  # guesses that the first estimate counts for
_MEMORY = 0.98  # of what happened before, after each guess
_BOUNDS = (4, 6, 10, 18)  # tokens of agreement: the estimates are kept apart
_STREAK = 6  # guesses in a row that came true: a model that copies goes on copying, so they are a case of their own
_FIRST = (0.53, 0.68, 0.76, 0.85, 0.91, 0.95)  # so often in pluggy's own source, but for the last, which was guessed


class Speculation:
    """One for each model and machine. Invariant: `worth` proposes only what is expected to be faster than not."""

    def __init__(self) -> None:
        self._one: deque[float] = deque(maxlen=4 * _SAMPLES)
        self._ratio: dict[int, deque[float]] = {size: deque(maxlen=_SAMPLES) for size in SIZES}
        self._hits = [p * _WEIGHT for p in _FIRST]
        self._tries = [_WEIGHT] * len(_FIRST)
        self._declined, self._patience = 0, _PATIENCE

    def worth(self, found: Found, room: int, streak: int = 0) -> tuple[int, ...]:
        """The guesses to try, at most `room`; none where that is not expected to pay.

        `streak`: how many guesses of the same answer came true since the last wrong one.
        """
        best, guesses = _GAIN, tuple[int, ...]()
        for size in SIZES:
            n = min(size - 1, len(found.tokens), room)
            if n > 0 and (speed := self.expected(found.agreed, n, streak)) > best:
                best, guesses = speed, found.tokens[:n]
        if found.tokens and not guesses:
            self._decline()
        return guesses

    def expected(self, agreed: int, n: int, streak: int = 0) -> float:
        """Tokens in the time of one, for `n` guesses after so many tokens of agreement."""
        case = _case(agreed, streak)
        chance = self._hits[case] / self._tries[case]
        kept = sum(chance**i for i in range(1, n + 1))
        return (1 + kept) / self._cost(n + 1)

    def took_one(self, seconds: float) -> None:
        """One token without guesses took this long."""
        self._one.append(seconds)

    def tried(self, agreed: int, n: int, kept: int, seconds: float, streak: int = 0) -> None:
        """A batch with `n` guesses took this long, and so many of them came true."""
        case = _case(agreed, streak)
        self._hits[case] = self._hits[case] * _MEMORY + kept
        self._tries[case] = self._tries[case] * _MEMORY + kept + (kept < n)
        if self._one:
            self._ratio[_size(n + 1)].append(seconds / median(self._one))

    def _cost(self, size: int) -> float:
        """Of a batch, in tokens one by one."""
        ratio = self._ratio[_size(size)]
        return max(1.0, median(ratio)) if ratio else _HOPED

    def _decline(self) -> None:
        """Costs change with the load of the machine: what was measured long ago is forgotten."""
        self._declined += 1
        if self._declined >= self._patience:
            self._declined, self._patience = 0, 2 * self._patience
            for ratio in self._ratio.values():
                ratio.clear()


def _size(tokens: int) -> int:
    return next((size for size in SIZES if tokens <= size), SIZES[-1])


def _case(agreed: int, streak: int) -> int:
    """Which estimate counts."""
    if streak >= _STREAK:
        return len(_BOUNDS) + 1
    return sum(min(agreed, LONGEST) >= bound for bound in _BOUNDS)
