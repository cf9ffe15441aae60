"""Where the last tokens stood before, and what followed them there: an index over what a trunk holds.

It is kept with the ledger, token by token, so that asking it costs the same however much is resident. What it finds is
a guess that has to be verified (`speculation`). The engine's thread only.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from gemma_lsp.kv.ranges import Ranges

GRAM = 3  # tokens that must agree before what followed them is worth a guess
LONGEST = 32  # tokens of agreement that are told apart
_CHAIN = 12  # earlier places that are compared
_BITS = 17
_MASK = (1 << _BITS) - 1


@dataclass(frozen=True, slots=True)
class Found:
    """Tokens that may come next; `agreed`: how many tokens before them are the same as here."""

    tokens: tuple[int, ...]
    agreed: int


NOTHING = Found((), 0)


class Lookup:
    """Places by their last `GRAM` tokens: a table of the latest place for each hash, chained to the earlier ones.

    Invariant: the tokens are the ledger's; undoing goes place by place, last in, first out. Four bytes a token, twice.
    """

    def __init__(self) -> None:
        self._tokens = array("i")
        self._earlier = array("i")  # of a place: the one before with the same hash, -1 where there is none
        self._latest = array("i", [-1]) * (1 << _BITS)

    def __len__(self) -> int:
        return len(self._tokens)

    def extend(self, tokens: Sequence[int]) -> None:
        """These tokens follow."""
        all_, earlier, latest = self._tokens, self._earlier, self._latest
        for token in tokens:
            all_.append(token)
            at = len(all_) - 1
            if at < GRAM - 1:
                earlier.append(-1)
                continue
            key = _hash(all_[at - 2], all_[at - 1], token)
            earlier.append(latest[key])
            latest[key] = at

    def rewind(self, length: int) -> None:
        """Only the first `length` tokens are left."""
        if length == 0:
            self.__init__()  # type: ignore[misc]
            return
        all_ = self._tokens
        for at in range(len(all_) - 1, max(length, GRAM - 1) - 1, -1):
            self._latest[_hash(all_[at - 2], all_[at - 1], all_[at])] = self._earlier[at]
        del all_[length:], self._earlier[length:]

    def find(self, token: int, n: int, hidden: Ranges) -> Found:
        """At most `n` tokens that followed where the text ended like here, `token` being the last one here.

        Of the latest places the one that agrees longest; places that are hidden are stale text.
        """
        all_ = self._tokens
        if len(all_) < GRAM - 1:
            return NOTHING
        at = self._latest[_hash(all_[-2], all_[-1], token)]
        best = best_at = 0
        for _ in range(_CHAIN):
            if at < 0:
                break
            agreed = self._agreement(at, token)
            if agreed > best and not (hidden and at in hidden):
                best, best_at = agreed, at
            at = self._earlier[at]
        if best < GRAM:
            return NOTHING
        return Found(tuple([*all_[best_at + 1 : best_at + 1 + n], token][:n]), best)

    def _agreement(self, at: int, token: int) -> int:
        """How many tokens up to the place are those up to here."""
        all_ = self._tokens
        if all_[at] != token:
            return 0
        n, end = 1, len(all_)
        while n < LONGEST and n <= at and all_[at - n] == all_[end - n]:
            n += 1
        return n


def _hash(a: int, b: int, c: int) -> int:
    return (a * 2654435761 + b * 40503 * 65599 + c * 31) >> 5 & _MASK
