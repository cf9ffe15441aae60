"""Where the last tokens of a text stand in other texts: an index by n-grams over whole files. Immutable; any thread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from copy import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ORDER = 3  # tokens that must agree; from two on it is hardly better (docs/design/completion.md)
LONGEST = 24  # tokens of agreement that are told apart
PLACES = 1024  # of those that agree so many are looked at, the last ones

_BITS = 21  # of a token, so that three of them are one number; vocabularies have 18
_NONE = -1  # stands between two texts, and agrees with nothing


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Where a text ends as it does here, how many tokens agree there, and what comes next. All of shape (n,).

    `at`: indices into the tokens of the `NgramIndex` that told them.
    """

    at: NDArray[np.int64]
    agreed: NDArray[np.int64]
    following: NDArray[np.int32]


class NgramIndex:
    """Texts by name, as tokens. 20 bytes a token; a million tokens are sorted in a tenth of a second."""

    def __init__(self, texts: Mapping[str, Sequence[int]]) -> None:
        self._names = list(texts)
        self._left_out: NDArray[np.bool_] | None = None
        self._shortened = 0
        before, between = np.full(LONGEST, _NONE, dtype=np.int32), np.full(1, _NONE, dtype=np.int32)
        parts = [np.asarray(tokens, dtype=np.int32) for tokens in texts.values()]
        self._tokens = np.concatenate([before, *(half for part in parts for half in (part, between))])
        self._ends = np.cumsum([LONGEST, *(len(part) + 1 for part in parts)])[1:]
        grams = _grams(self._tokens)
        self._order = np.argsort(grams, kind="stable")
        self._sorted = grams[self._order]

    def without(self, names: AbstractSet[str]) -> NgramIndex:
        """The same but for some texts; nothing is copied."""
        view = copy(self)
        view._left_out = np.array([name in names for name in self._names]) if names else None
        return view

    def shortened(self, n: int) -> NgramIndex:
        """The same, but nothing is known of the first text's last `n` tokens; nothing is copied."""
        view = copy(self)
        view._shortened = n if self._names else 0
        return view

    def __len__(self) -> int:
        """Tokens of all texts."""
        return len(self._tokens) - LONGEST - len(self._names)

    def places(self, last: Sequence[int]) -> Places:
        """Where at least `ORDER` tokens agree with the last ones here, but at the end of a text."""
        at = self._at(last)
        return Places(at, self._agreed(at, last), self._tokens[at + 1])

    def after(self, places: Places, n: int) -> tuple[list[int], int]:
        """At most `n` tokens that follow where most tokens agree, at the last such place, and how many agree."""
        if not len(places.at):
            return [], 0
        best = len(places.at) - 1 - int(places.agreed[::-1].argmax())
        following = self._tokens[places.at[best] + 1 : places.at[best] + 1 + n].tolist()
        end = following.index(_NONE) if _NONE in following else n
        return following[:end], int(places.agreed[best])

    def _at(self, last: Sequence[int]) -> NDArray[np.int64]:
        """The index of the token that stands where `last` ends."""
        if len(last) < ORDER:
            return np.empty(0, dtype=np.int64)
        wanted = _grams(np.asarray(last[-ORDER:], dtype=np.int32))[-1]
        first, behind = (int(np.searchsorted(self._sorted, wanted, side)) for side in ("left", "right"))
        at: NDArray[np.int64] = self._order[max(first, behind - PLACES) : behind]
        at = at[self._tokens[at + 1] != _NONE]
        if self._shortened:
            end = int(self._ends[0]) - 1
            at = at[(at + 1 < end - self._shortened) | (at + 1 >= end)]
        if self._left_out is not None and len(at):
            at = at[~self._left_out[np.searchsorted(self._ends, at, "right")]]
        return at

    def _agreed(self, at: NDArray[np.int64], last: Sequence[int]) -> NDArray[np.int64]:
        ending = np.asarray(last[-LONGEST:], dtype=np.int32)
        back = np.arange(ORDER, len(ending))
        same = self._tokens[at[:, None] - back] == ending[len(ending) - 1 - back]
        agreed: NDArray[np.int64] = ORDER + np.logical_and.accumulate(same, axis=1).sum(axis=1)
        return agreed


def _grams(tokens: NDArray[np.int32]) -> NDArray[np.int64]:
    """The last `ORDER` tokens at each place as one number; `_NONE` where a text has not so many."""
    wide = tokens.astype(np.int64)
    grams = np.full(len(tokens), _NONE, dtype=np.int64)
    a, b, c = wide[:-2], wide[1:-1], wide[2:]
    grams[2:] = np.where((a >= 0) & (b >= 0) & (c >= 0), (a << 2 * _BITS) | (b << _BITS) | c, _NONE)
    return grams
