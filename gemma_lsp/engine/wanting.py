"""What a request wants to have in the cache, seen as tokens: where its parts end, what goes into one batch. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from gemma_lsp.engine.backend import Backend
from gemma_lsp.kv.plan import HIDEABLE, Wanted


def batch_of(wanted: Sequence[Wanted], run: int, offset: int, n_slice: int) -> list[tuple[int, int, Sequence[int]]]:
    """One batch from `offset` of a segment on, with those behind as far as they fit: (segment, offset, tokens)."""
    parts: list[tuple[int, int, Sequence[int]]] = []
    room = n_slice
    while room > 0 and run < len(wanted):
        tokens = wanted[run].tokens[offset : offset + room]
        parts.append((run, offset, tokens))
        room -= len(tokens)
        run, offset = run + 1, 0
    return parts


def ends_of(wanted: Sequence[Wanted]) -> tuple[int, int]:
    """Tokens up to the end of the body, and of what all requests share (the preamble's where there is no more)."""
    total = body = head = 0
    for part in wanted:
        total += len(part.tokens)
        if part.region in HIDEABLE:
            head = total
            body = body if part.region == "errata" else total
    return body, head


def healed(wanted: list[Wanted], backend: Backend) -> tuple[list[Wanted], bytes]:
    """The prompt without its last token, and the bytes that the answer must therefore begin with."""
    last = wanted[-1]
    if len(wanted) < 2 or not last.tokens or not (head := backend.piece(last.tokens[-1])):
        return wanted, b""
    short = [Wanted(last.key + "/healed", last.region, last.tokens[:-1])] if len(last.tokens) > 1 else []
    return [*wanted[:-1], *short], head
