"""What a trunk's head and a wanted one have in common: the cells that may stay, or move. Pure; plain data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import groupby, pairwise
from typing import TypeVar

from gemma_lsp.kv.ledger import Ledger, Run
from gemma_lsp.kv.plan import HIDEABLE, Wanted
from gemma_lsp.kv.ranges import Ranges

KEEP = 16  # tokens between two changes that are worth moving rather than reading again; guessed
T = TypeVar("T")
_COMPARED = 2000  # tokens of a changed piece that are compared one by one


@dataclass(frozen=True, slots=True)
class Kept:
    """Cells [start, start + n) are the wanted tokens from `at` on."""

    start: int
    at: int
    n: int


def common(ledger: Ledger, head: Sequence[Wanted]) -> Iterator[Kept]:
    """Cells that stay, in order: pieces by name first, then token by token in what lies between them."""
    held = _groups((run.key, run.region, run) for run in _runs(ledger))
    asked = _groups((w.key, w.region, w) for w in head)
    matcher = SequenceMatcher(None, [name for name, _ in held], [name for name, _ in asked], autojunk=False)
    at = 0
    starts = []
    for _, parts in asked:
        starts.append(at)
        at += sum(len(w.tokens) for w in parts)
    starts.append(at)
    for tag, i, j, k, m in matcher.get_opcodes():
        if tag == "equal":
            for (_, runs), (_, parts), begin in zip(held[i:j], asked[k:m], starts[k:m], strict=True):
                yield from _same_piece(ledger, runs, parts, begin)
        elif i < j and k < m:
            parts = [w for _, more in asked[k:m] for w in more]
            regions = {w.region for w in parts}  # errata behind a changed end of the body are not its end
            runs = [run for _, more in held[i:j] for run in more if run.region in regions]
            yield from _alike(ledger, runs, parts, starts[k]) if runs else ()


def _same_piece(ledger: Ledger, runs: Sequence[Run], parts: Sequence[Wanted], begin: int) -> Iterator[Kept]:
    """One segment on both sides: all of it as a rule, else what is alike."""
    held = Ranges((run.offset, run.offset + run.stop - run.start) for run in runs)
    asked = Ranges((w.offset, w.offset + len(w.tokens)) for w in parts)
    n = runs[-1].stop - runs[0].start
    rising = all(a.offset < b.offset for a, b in pairwise(runs))
    if rising and held == asked and len(held) == n == len(asked):
        yield Kept(runs[0].start, begin, n)
    else:
        yield from _alike(ledger, runs, parts, begin)


def _alike(ledger: Ledger, runs: Sequence[Run], parts: Sequence[Wanted], begin: int) -> Iterator[Kept]:
    """What two texts have in common: both ends, and long pieces between them. Hidden cells can come back."""
    start, stop = runs[0].start, runs[-1].stop
    held, asked = list(ledger.tokens[start:stop]), [t for w in parts for t in w.tokens]
    most = min(len(held), len(asked))
    first = next((n for n in range(most) if held[n] != asked[n]), most)
    last = next((n for n in range(most - first) if held[-1 - n] != asked[-1 - n]), most - first)
    if first:
        yield Kept(start, begin, first)
    inner, inner_asked = held[first : len(held) - last], asked[first : len(asked) - last]
    if min(len(inner), len(inner_asked)) >= KEEP and max(len(inner), len(inner_asked)) <= _COMPARED:
        for i, k, n in SequenceMatcher(None, inner, inner_asked, autojunk=False).get_matching_blocks():
            if n >= KEEP:
                yield Kept(start + first + i, begin + first + k, n)
    if last:
        yield Kept(stop - last, begin + len(asked) - last, last)


def _runs(ledger: Ledger) -> list[Run]:
    """The head's runs: those before the first short region."""
    n = next((i for i, run in enumerate(ledger.runs) if run.region not in HIDEABLE), len(ledger.runs))
    return ledger.runs[:n]


def _groups(items: Iterable[tuple[str, str, T]]) -> list[tuple[tuple[str, str], list[T]]]:
    return [(name, [item for _, _, item in group]) for name, group in groupby(items, key=lambda i: (i[0], i[1]))]
