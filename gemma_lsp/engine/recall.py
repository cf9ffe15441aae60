"""What a repository says that comes next, mixed into what the model says.

A model that has not the repository in its prompt, or far away in it, does not know its names. Counts of what followed
the last tokens elsewhere do, cost no token of the prompt, and know what fits into no context: cache language models
(Hellendoorn and Devanbu, FSE 2017; Khandelwal et al., ICLR 2020; Liu et al., Infini-gram, COLM 2024). How far the
counts are believed was fitted on next lines of histories: docs/design/completion.md. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from gemma_lsp.engine.lookup import NOTHING, Found
from gemma_lsp.engine.ngrams import LONGEST, ORDER, NgramIndex, Places

_BELIEF = np.array([-3.7, 0.6, 0.35, 0.95, 0.6, -0.1])
"""Weights of `signs`, fitted on 135 next lines of tenacity, pluggy and httpx with Qwen2.5-Coder 0.5B."""


@dataclass(frozen=True, slots=True)
class Expected:
    """Tokens that may come next, and how probable each is as far as the counts are believed; less than 1 together."""

    tokens: NDArray[np.int32]
    chances: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Recall:
    """What one answer can remember; one thread's. `before`: the tokens that it goes on from."""

    before: Sequence[int]
    own: NgramIndex  # the file itself, as it is now; its first text is `before`
    others: NgramIndex  # as they are now
    _asked: dict[tuple[int, ...], tuple[Places, Places]] = field(default_factory=dict, init=False, repr=False)

    def expected(self, answer: Sequence[int]) -> Expected | None:
        """What follows `before` and the answer so far in all texts; None where nothing does."""
        own, others = self._places(answer)
        agreed = np.concatenate([own.agreed, others.agreed])
        if not len(agreed):
            return None
        tokens, which = np.unique(np.concatenate([own.following, others.following]), return_inverse=True)
        chances = np.zeros(len(tokens))
        for n in range(ORDER, int(agreed.max()) + 1):  # the longer above the shorter (Witten and Bell, 1991)
            counts = np.bincount(which[agreed >= n], minlength=len(tokens))
            kinds = np.count_nonzero(counts)
            chances = (counts + kinds * chances) / (counts.sum() + kinds)
        return Expected(tokens, chances / (1 + np.exp(-signs(agreed, which) @ _BELIEF)))

    def find(self, answer: Sequence[int], n: int) -> Found:
        """At most `n` tokens that may follow, from where the text agrees longest."""
        own, others = self._places(answer)
        found = (self.own.after(own, n), self.others.after(others, n))
        tokens, agreed = max(found, key=lambda each: each[1])
        return Found(tuple(tokens), agreed) if tokens else NOTHING

    def backed_up(self, end: bytes, piece: Callable[[int], bytes]) -> Recall | None:
        """The same without these bytes at the end of `before`; None where a token is only in part of them.

        Nor are they what followed there: they would be expected above all else, just where they may be another token.
        """
        left, before = end, self.before
        while left and before and left.endswith(last := piece(before[-1])) and last:
            left, before = left[: len(left) - len(last)], before[:-1]
        if left:
            return None
        return replace(self, before=before, own=self.own.shortened(len(self.before) - len(before)))

    def _places(self, answer: Sequence[int]) -> tuple[Places, Places]:
        """In the file itself and in the others. The last answer is kept: a guess looks where the choice looks next."""
        last = tuple([*self.before[-LONGEST:], *answer][-LONGEST:])
        if last not in self._asked:
            self._asked.clear()
            self._asked[last] = self.own.places(last), self.others.places(last)
        return self._asked[last]


def signs(agreed: NDArray[np.int64], which: NDArray[np.int64]) -> NDArray[np.float64]:
    """What tells how far counts can be believed, for places with so many tokens of agreement and kinds of follower."""
    several = np.sort(agreed)[-2] if len(agreed) > 1 else ORDER  # the longest agreement of two places
    counts = np.bincount(which[agreed >= several])
    n, share = counts.sum(), counts.max() / counts.sum()
    alone = float(np.count_nonzero(counts) == 1)
    return np.array([1.0, np.log(agreed.max()), np.log(n), share, alone, share * np.log(several)])


def most_probable(
    logits: NDArray[np.float32], expected: Expected | None = None, allowed: NDArray[np.int32] | None = None
) -> int:
    """The most probable token by model and repository together, among those allowed.

    What the repository is not believed for is the model's: (1 - sum of chances) * model + chances.
    """
    best = int(logits.argmax()) if allowed is None else int(allowed[logits[allowed].argmax()])
    said = _among(expected, allowed)
    if expected is None or said is None or said.tokens[said.chances.argmax()] == best:
        return best
    top = logits.max()
    left = (1 - expected.chances.sum()) / np.exp(logits - top).sum()
    mixed = left * np.exp(logits[said.tokens] - top) + said.chances
    first = int(mixed.argmax())
    return int(said.tokens[first]) if mixed[first] > left * np.exp(logits[best] - top) else best


def chance_of(
    token: int, logits: NDArray[np.float32], expected: Expected | None, allowed: NDArray[np.int32] | None = None
) -> float:
    """How probable that token is by both together, among those allowed."""
    own = np.exp(logits - logits.max())
    left = (1 - expected.chances.sum() if expected else 1.0) / own.sum()
    mine, whole = left * own[token], left * (own.sum() if allowed is None else own[allowed].sum())
    if (said := _among(expected, allowed)) is not None:
        mine, whole = mine + said.chances[said.tokens == token].sum(), whole + said.chances.sum()
    return float(mine / whole) if whole > 0 else 0.0  # none of those allowed is probable at all


def _among(expected: Expected | None, allowed: NDArray[np.int32] | None) -> Expected | None:
    """What is expected among the allowed tokens; None where that is nothing."""
    if expected is not None and allowed is not None:
        among = np.isin(expected.tokens, allowed)
        expected = Expected(expected.tokens[among], expected.chances[among])
    return expected if expected is not None and len(expected.tokens) else None
