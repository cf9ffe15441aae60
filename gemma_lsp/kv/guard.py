"""Which sliding-window cells the guard sequence shares, so that rewinds stay provable. Pure.

Guarded are the window before the body's end, where one can always go back to; the window before the head's end (body
and errata) and half of one more, so that the last errata can be told anew; and as much of the tail as the cells allow.
A cell must be shared before a batch starts more than a window behind it; shared earlier is just as good.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from gemma_lsp.kv.ledger import Ledger
from gemma_lsp.kv.ranges import Ranges, span


@dataclass(frozen=True, slots=True)
class Share:
    """Let the guard hold [start, stop) too."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Unshare:
    """Let the guard drop [start, stop)."""

    start: int
    stop: int


def guard_ops(ledger: Ledger, ends: tuple[int, int], n_guard: int) -> list[Share | Unshare]:
    """What to share and drop before the next batch at the ledger's end.

    `ends`: positions of the body's and of the head's end; `n_guard`: sliding cells the guard may hold.
    """
    if ledger.n_swa == 0 or n_guard == 0:
        return []
    desired = _desired(ledger.n_swa, ends, n_guard).below(len(ledger))
    stale = ledger.guarded - desired
    fresh = (desired - ledger.guarded) & ((ledger.sliding | ledger.warmed) - ledger.hidden)
    # Sharing walks all cells, so it waits until half a window has come together or something is about to be lost.
    if not stale and len(fresh) < ledger.n_swa // 2:
        fresh = fresh if _in_danger(fresh, len(ledger), ledger.n_swa) else Ranges()
    return [*(Unshare(a, b) for a, b in stale), *(Share(a, b) for a, b in fresh)]


@lru_cache(maxsize=8)
def _desired(n_swa: int, ends: tuple[int, int], n_guard: int) -> Ranges:
    """The guarded positions, the most important first as long as there are cells."""
    body_end, head_end = ends
    found = Ranges()
    for start, stop in (
        (body_end - n_swa + 1, body_end),
        (head_end - n_swa + 1, head_end),
        (head_end - n_swa - n_swa // 2 + 1, head_end - n_swa + 1),
        (head_end, head_end + n_guard),
    ):
        fresh = span(max(0, start), max(0, stop)) - found
        found |= _first(fresh, n_guard - len(found))
    return found


def _first(ranges: Ranges, n: int) -> Ranges:
    """The first `n` positions."""
    found = Ranges()
    for start, stop in ranges:
        found |= span(start, min(stop, start + max(0, n - len(found))))
    return found


def _in_danger(fresh: Ranges, length: int, n_swa: int) -> bool:
    """Whether the oldest of `fresh` may fall behind the window before half a window more has come together."""
    return bool(fresh) and next(iter(fresh))[0] <= length - n_swa // 2
