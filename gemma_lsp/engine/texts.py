"""Tokens by content address: texts travel and are tokenised once. Locked; any thread may use it."""

from __future__ import annotations

import threading
from array import array
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Sequence

from gemma_lsp.engine.messages import SegmentRef
from gemma_lsp.kv.plan import Wanted

Piece = Callable[[int], bytes]
MAX_TOKENS = 4_000_000  # 16 MB of tokens; guessed, several times the largest context


class TextGone(Exception):
    """The tokens of a segment were pushed out by others, and its text is not at hand: it is to be asked for again."""


class TokenStore:
    """Least-recently-used cache of tokenised segments."""

    def __init__(self, tokenize: Callable[[str, bool], list[int]], max_tokens: int = MAX_TOKENS) -> None:
        self._tokenize = tokenize
        self._max = max_tokens
        self._held = 0
        self._tokens: OrderedDict[str, array[int]] = OrderedDict()
        self._lock = threading.Lock()

    def missing(self, refs: Sequence[SegmentRef], texts: dict[str, str]) -> tuple[str, ...]:
        """Keys that are neither tokenised nor among `texts`, each once. What is there counts as used."""
        with self._lock:
            for ref in refs:
                if ref.key in self._tokens:
                    self._tokens.move_to_end(ref.key)
            return tuple(dict.fromkeys(r.key for r in refs if r.key not in self._tokens and r.key not in texts))

    def tokens(self, ref: SegmentRef, texts: dict[str, str]) -> array[int]:
        """The segment's tokens. Raises `TextGone` where they are not there and its text is not, either."""
        with self._lock:
            found = self._tokens.get(ref.key)
            if found is not None:
                self._tokens.move_to_end(ref.key)
                return found
        if ref.key not in texts:
            raise TextGone(ref.key)
        made = array("i", self._tokenize(texts[ref.key], ref.special))
        with self._lock:
            self._tokens[ref.key] = made
            self._held += len(made)
            while self._held > self._max and len(self._tokens) > 1:
                _, old = self._tokens.popitem(last=False)
                self._held -= len(old)
        return made


def wanted_of(ref: SegmentRef, tokens: array[int], piece: Piece) -> list[Wanted]:
    """A segment's tokens as far as they are shown. A token belongs to where its first byte stands."""
    if ref.shown is None:
        return [Wanted(ref.key, ref.region, tokens)] if tokens else []
    starts, at = [], 0
    for token in tokens:
        starts.append(at)
        at += len(piece(token))
    found = ((bisect_left(starts, first), bisect_left(starts, last)) for first, last in ref.shown)
    return [Wanted(ref.key, ref.region, tokens[i:j], i) for i, j in found if i < j]
