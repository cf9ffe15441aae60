"""What one trunk holds, as far as it can be proven. The engine's thread alone may use a ledger.

Positions are token positions of the trunk's sequence; without a shift a token's position is its index.
A *hidden* token keeps its position and its cells (in the attic sequence), but the trunk cannot attend to it.
The *guard* sequence shares sliding-window cells with the trunk, and a cell of two sequences is never recycled
(llama.cpp, src/llama-kv-cache.cpp, find_slot), which is what makes a rewind provable.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gemma_lsp.kv.ranges import Ranges, span


@dataclass(frozen=True, slots=True)
class Run:
    """Tokens [start, stop), the segment's own from `offset` on. `seen` is what was hidden when they were evaluated."""

    key: str
    region: str
    start: int
    stop: int
    seen: Ranges
    offset: int = 0


class Ledger:
    """Mirrors one trunk; each method is the effect of one backend operation.

    Invariants: the runs tile [0, len); the last token is never hidden; `sliding` holds only positions whose cells in
    the sliding-window half are certainly still there (in the trunk, or for hidden tokens in the attic).
    """

    def __init__(self, n_swa: int) -> None:
        self.n_swa = n_swa
        self.revision = 0
        self.tokens = array("i")
        self.runs: list[Run] = []
        self.hidden = Ranges()
        self.sliding = Ranges()
        self.guarded = Ranges()

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def n_visible(self) -> int:
        """Tokens that the next token can attend to."""
        return len(self.tokens) - len(self.hidden)

    def exact_upto(self) -> int:
        """Positions below this were computed with exactly the visible tokens before them."""
        for run in self.runs:
            for start, _ in span(run.start, run.stop) - self.hidden:
                if run.seen != self.hidden.below(start):
                    return start
        return len(self.tokens)

    def window_at(self, length: int, hidden: Ranges | None = None) -> Ranges:
        """The positions that a token at position `length` attends to in the sliding layers."""
        if self.n_swa == 0:
            return Ranges()
        return span(max(0, length - self.n_swa + 1), length) - (self.hidden if hidden is None else hidden)

    def can_rewind(self, length: int, hidden: Ranges | None = None) -> bool:
        """Whether a rewind to `length` provably loses nothing that the next token needs."""
        return self.sliding.covers(self.window_at(length, hidden))

    # -- effects ---------------------------------------------------------------------------------------------------

    def clear(self) -> None:
        """The sequence was emptied."""
        self.revision += 1
        self.tokens = array("i")
        self.runs = []
        self.hidden = self.sliding = self.guarded = Ranges()

    def rewind(self, length: int) -> None:
        """Everything from `length` on was removed."""
        self.revision += 1
        del self.tokens[length:]
        while self.runs and self.runs[-1].stop > length:
            last = self.runs.pop()
            if last.start < length:
                self.runs.append(replace(last, stop=length))
        self.hidden, self.sliding, self.guarded = (r.below(length) for r in (self.hidden, self.sliding, self.guarded))

    def hide(self, start: int, stop: int) -> None:
        """[start, stop) moved to the attic; its sliding cells are only safe where the guard shares them."""
        self.revision += 1
        self.hidden |= span(start, stop)
        self.sliding -= span(start, stop) - self.guarded

    def reveal(self, start: int, stop: int) -> None:
        """[start, stop) came back from the attic."""
        self.revision += 1
        self.hidden -= span(start, stop)

    def guard(self, start: int, stop: int) -> None:
        """The guard shares the cells of [start, stop), which must be resident."""
        self.guarded |= span(start, stop)

    def unguard(self, start: int, stop: int) -> None:
        """The guard let go of [start, stop)."""
        self.guarded -= span(start, stop)
        self.sliding -= self.hidden & span(start, stop)

    def lose(self, start: int) -> None:
        """A batch that starts at `start` was given cells: whatever lies behind its window may have been recycled."""
        if self.n_swa:
            keep = self.guarded | span(max(0, start - self.n_swa + 1), max(start, len(self.tokens)))
            self.sliding &= keep - (self.hidden - self.guarded)

    def append(self, key: str, region: str, tokens: Sequence[int], offset: int = 0) -> None:
        """Tokens were evaluated at the end, as those of the segment `key` from `offset` on.

        Consecutive parts become one run. One batch may append several parts; its `lose` comes before the first.
        """
        self.revision += 1
        start = len(self.tokens)
        self.tokens.extend(tokens)
        stop = len(self.tokens)
        if self.n_swa:
            self.sliding |= span(start, stop)
        last = self.runs[-1] if self.runs else None
        if last and (last.key, last.region, last.seen) == (key, region, self.hidden) and _ends_at(last, offset):
            self.runs[-1] = replace(last, stop=stop)
        else:
            self.runs.append(Run(key, region, start, stop, self.hidden, offset))


def _ends_at(run: Run, offset: int) -> bool:
    """Whether a run is its segment's tokens up to `offset`, of which there are some."""
    return 0 < offset == run.offset + run.stop - run.start
