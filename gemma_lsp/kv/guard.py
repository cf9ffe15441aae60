"""Which sliding-window cells the guard sequence shares, so that rewinds stay provable. Pure.

Guarded are the window before the body's end and as much of the tail as the cells allow. A cell must be shared before a
batch starts more than a window behind it; shared earlier is just as good.
"""

from __future__ import annotations

from dataclasses import dataclass

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


def guard_ops(ledger: Ledger, body_end: int, n_guard: int) -> list[Share | Unshare]:
    """What to share and drop before the next batch at the ledger's end. `n_guard`: sliding cells the guard may hold."""
    if ledger.n_swa == 0 or n_guard == 0:
        return []
    start = max(0, body_end - ledger.n_swa + 1)
    desired = span(start, start + n_guard).below(len(ledger))
    stale = ledger.guarded - desired
    fresh = (desired - ledger.guarded) & (ledger.sliding - ledger.hidden)
    # Sharing walks all cells, so it waits until half a window has come together or something is about to be lost.
    if not stale and len(fresh) < ledger.n_swa // 2:
        fresh = fresh if _in_danger(fresh, len(ledger), ledger.n_swa) else Ranges()
    return [*(Unshare(a, b) for a, b in stale), *(Share(a, b) for a, b in fresh)]


def _in_danger(fresh: Ranges, length: int, n_swa: int) -> bool:
    """Whether the oldest of `fresh` may fall behind the window before half a window more has come together."""
    return bool(fresh) and next(iter(fresh))[0] <= length - n_swa // 2
