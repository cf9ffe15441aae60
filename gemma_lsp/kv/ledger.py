"""What one trunk holds, as far as it can be proven. The engine's thread alone may use a ledger.

Positions are token positions of the trunk's sequence; a splice moves what stands behind it, so a token's position is
always its index.
A *hidden* token keeps its position and its cells (in the attic sequence), but the trunk cannot attend to it.
The *guard* sequence shares sliding-window cells with the trunk, and a cell of two sequences is never recycled
(llama.cpp, src/llama-kv-cache.cpp, find_slot), which is what makes a rewind provable.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from gemma_lsp.kv.ranges import Ranges, span


@dataclass(frozen=True, slots=True)
class Run:
    """Tokens [start, stop), the segment's own from `offset` on. `seen` is what was hidden when they were evaluated.

    `shifts`: splices before it since then, of which its cells know nothing; `spliced`: evaluated by a splice itself.
    """

    key: str
    region: str
    start: int
    stop: int
    seen: Ranges
    offset: int = 0
    shifts: int = 0
    spliced: bool = False

    @property
    def approximate(self) -> bool:
        """Whether its cells may differ from a fresh evaluation's whatever is hidden: never called exact."""
        return self.spliced or self.shifts > 0


class Ledger:
    """Mirrors one trunk; each method is the effect of one backend operation.

    Invariants: the runs tile [0, len); the last token is never hidden; `sliding` holds only positions whose cells in
    the sliding-window half are certainly still there (in the trunk, or for hidden tokens in the attic). `warmed` are
    sliding cells that are there but were computed from a cold window: one can go on from them, and prove nothing.
    """

    def __init__(self, n_swa: int) -> None:
        self.n_swa = n_swa
        self.revision = 0
        self.tokens = array("i")
        self.runs: list[Run] = []
        self.hidden = Ranges()
        self.sliding = Ranges()
        self.guarded = Ranges()
        self.warmed = Ranges()

    def __len__(self) -> int:
        return len(self.tokens)

    def copy(self) -> Ledger:
        """The same state, to try something on."""
        other = Ledger(self.n_swa)
        other.revision, other.tokens, other.runs = self.revision, self.tokens[:], list(self.runs)
        other.hidden, other.sliding = self.hidden, self.sliding
        other.guarded, other.warmed = self.guarded, self.warmed
        return other

    @property
    def n_visible(self) -> int:
        """Tokens that the next token can attend to."""
        return len(self.tokens) - len(self.hidden)

    def exact_upto(self) -> int:
        """Positions below this were computed with exactly the visible tokens before them."""
        for run in self.runs:
            for start, _ in span(run.start, run.stop) - self.hidden:
                if run.approximate or run.seen != self.hidden.below(start):
                    return start
        return len(self.tokens)

    @property
    def n_spliced(self) -> int:
        """Tokens that splices evaluated and no exact evaluation since."""
        return sum(run.stop - run.start for run in self.runs if run.spliced)

    @property
    def most_shifts(self) -> int:
        """Splices that some cell has lived through."""
        return max((run.shifts for run in self.runs), default=0)

    def window_at(self, length: int, hidden: Ranges | None = None) -> Ranges:
        """The positions that a token at position `length` attends to in the sliding layers."""
        if self.n_swa == 0:
            return Ranges()
        return span(max(0, length - self.n_swa + 1), length) - (self.hidden if hidden is None else hidden)

    def can_rewind(self, length: int, hidden: Ranges | None = None, *, exact: bool = True) -> bool:
        """Whether a rewind to `length` provably loses nothing that the next token needs; warmed cells are not exact."""
        return self.resident(length, exact=exact).covers(self.window_at(length, hidden))

    def resident(self, length: int, *, exact: bool) -> Ranges:
        """Sliding cells that may be gone on from at `length`.

        Warmed ones only where not all before is exact: else what follows them would be called so.
        """
        if exact or not self.warmed:
            return self.sliding
        first = next((run.start for run in self.runs if run.approximate), len(self.tokens))
        return self.sliding | self.warmed if first < length else self.sliding

    # -- effects ---------------------------------------------------------------------------------------------------

    def clear(self) -> None:
        """The sequence was emptied."""
        self.revision += 1
        self.tokens = array("i")
        self.runs = []
        self.hidden = self.sliding = self.guarded = self.warmed = Ranges()

    def rewind(self, length: int) -> None:
        """Everything from `length` on was removed."""
        self.revision += 1
        del self.tokens[length:]
        while self.runs and self.runs[-1].stop > length:
            last = self.runs.pop()
            if last.start < length:
                self.runs.append(replace(last, stop=length))
        self.hidden, self.sliding = self.hidden.below(length), self.sliding.below(length)
        self.guarded, self.warmed = self.guarded.below(length), self.warmed.below(length)

    def hide(self, start: int, stop: int) -> None:
        """[start, stop) moved to the attic; its sliding cells are only safe where the guard shares them."""
        self.revision += 1
        self.hidden |= span(start, stop)
        lost = span(start, stop) - self.guarded
        self.sliding, self.warmed = self.sliding - lost, self.warmed - lost

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
        lost = self.hidden & span(start, stop)
        self.sliding, self.warmed = self.sliding - lost, self.warmed - lost

    def lose(self, start: int) -> None:
        """A batch that starts at `start` was given cells: whatever lies behind its window may have been recycled."""
        if self.n_swa:
            keep = self.guarded | span(max(0, start - self.n_swa + 1), max(start, len(self.tokens)))
            keep -= self.hidden - self.guarded
            self.sliding, self.warmed = self.sliding & keep, self.warmed & keep

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
        same = last and (last.key, last.region, last.seen) == (key, region, self.hidden) and not last.approximate
        if last and same and _ends_at(last, offset):
            self.runs[-1] = replace(last, stop=stop)
        else:
            self.runs.append(Run(key, region, start, stop, self.hidden, offset))

    def splice(self, start: int, stop: int, tokens: Sequence[int], region: str, warm: Ranges | None) -> None:
        """[start, stop) was replaced by `tokens`, evaluated in its place; what stands behind it was moved.

        `warm`: the sliding cells before `start` were replaced by these, from a cold window; None: they were left alone.
        """
        self.revision += 1
        delta, end = len(tokens) - (stop - start), start + len(tokens)
        before, after = self._cut(start, stop)
        self.hidden, self.sliding, self.guarded, self.warmed = (
            _moved(r, start, stop, delta) for r in (self.hidden, self.sliding, self.guarded, self.warmed)
        )
        self.tokens[start:stop] = array("i", tokens)
        new = Run("", region, start, end, self.hidden.below(start), spliced=True)
        moved = [
            replace(
                run,
                start=run.start + delta,
                stop=run.stop + delta,
                seen=_moved(run.seen, start, stop, delta),
                shifts=run.shifts + 1,
            )
            for run in after
        ]
        self.runs = [*before, *([new] if tokens else []), *moved]
        if self.n_swa:
            if warm is not None:
                self.guarded -= span(0, start)
                self.sliding -= span(0, start)
                self.warmed = (self.warmed - span(0, start)) | warm
            self.sliding |= span(start, end)

    def relabel(self, parts: Iterable[tuple[str, str, int, int]]) -> None:
        """Says whose tokens they are: (key, region, offset, number of tokens) from position 0 on. Nothing is hidden."""
        self.revision += 1
        found: list[Run] = []
        at, left = 0, list(reversed(self.runs))
        for key, region, offset, n in parts:
            end, begin = at + n, at
            while at < end:
                run = left.pop()
                if run.stop > end:
                    left.append(replace(run, start=end, offset=run.offset + end - run.start))
                    run = replace(run, stop=end)
                found.append(replace(run, key=key, region=region, offset=offset + at - begin))
                at = run.stop
        self.runs = [*found, *reversed(left)]

    def _cut(self, start: int, stop: int) -> tuple[list[Run], list[Run]]:
        """The runs before `start` and those from `stop` on; a run that reaches over an end is cut there."""
        before = [replace(run, stop=min(run.stop, start)) for run in self.runs if run.start < start]
        after = [
            replace(run, start=max(run.start, stop), offset=run.offset + max(0, stop - run.start))
            for run in self.runs
            if run.stop > stop
        ]
        return before, after


def _moved(ranges: Ranges, start: int, stop: int, delta: int) -> Ranges:
    """Positions after [start, stop) went and what stood behind it moved by `delta`."""
    behind = ((max(a, stop) + delta, b + delta) for a, b in ranges if b > stop)
    return ranges.below(start) | Ranges(behind)


def _ends_at(run: Run, offset: int) -> bool:
    """Whether a run is its segment's tokens up to `offset`, of which there are some."""
    return 0 < offset == run.offset + run.stop - run.start
