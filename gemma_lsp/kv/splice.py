"""Which pieces in the middle of a trunk to replace, so that what it shows is what is wanted. Pure; plain data.

A splice evaluates the new tokens in their place and moves what stands behind them, which goes on remembering the old
text: an approximation that is paid for with the edit and not with the repository. `engine/splicing.py` carries it out.
Only the head is spliced (preamble, body, errata); the tail behind it is the ordinary plan's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from gemma_lsp.kv.common import Kept, common
from gemma_lsp.kv.ledger import Ledger
from gemma_lsp.kv.plan import HIDEABLE, Capabilities, Op, Plan, Policy, Reveal, Rewind, Wanted, plan
from gemma_lsp.kv.ranges import Ranges, span

PIECE = 256  # tokens that one splice inserts at most
BEHIND = 32  # tokens behind a change that are read again; docs/benchmarks/fidelity.md
BEFORE = 64  # tokens before a change that are read again where a windowed cache has lost them; the same page
SHIFTS = 128  # splices that a cell may live through until it is read again; see docs/design/splice.md
SHARE = 0.3  # of the prompt that splices may have evaluated
WORTH = 0.5  # of what the exact way costs is what splices may cost
LEAST = 512  # tokens of the exact way from which on it matters; guessed


@dataclass(frozen=True, slots=True)
class Splice:
    """Let `tokens` (at least one) stand where [start, stop) stands, and move what is behind."""

    start: int
    stop: int
    tokens: tuple[int, ...]
    region: str


@dataclass(frozen=True, slots=True)
class Relabel:
    """Whose tokens these are from position 0 on: (key, region, offset, number)."""

    parts: tuple[tuple[str, str, int, int], ...]


SpliceOp = Op | Splice | Relabel


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How much may be approximate at a time: tokens that splices evaluated, and splices that a cell lives through.

    `piece`: tokens that one splice may insert; more is inserted in several, so that each is short.
    `behind`: tokens behind each change that are read again with it, because they speak of it.
    """

    tokens: int = 1 << 30
    shifts: int = 1 << 30
    piece: int = PIECE
    behind: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SplicePlan:
    """Carry out `ops` in order. `inserted`: tokens to evaluate; `dropped`: tokens that go; `kept`: that stay or move.

    `warmed`: tokens that are evaluated besides, so that the sliding layers have a window where one is lost.
    `cells`: how many the trunk and one such window fill at most, from the first splice on.
    """

    ops: tuple[SpliceOp, ...]
    kept: int
    inserted: int
    dropped: int
    warmed: int
    cells: int

    @classmethod
    def nothing(cls, loose: Plan) -> SplicePlan:
        """Nothing to do in the middle: the rest is an append."""
        return cls(ops=(), kept=loose.reused, inserted=0, dropped=0, warmed=0, cells=loose.length)

    @property
    def evaluate(self) -> int:
        """Tokens to compute."""
        return self.inserted + self.warmed

    @property
    def splices(self) -> tuple[Splice, ...]:
        """The replacements, from left to right, each in the positions that the ones before it have left."""
        return tuple(op for op in self.ops if isinstance(op, Splice))


def plan_splices(
    ledger: Ledger, wanted: Sequence[Wanted], can: Capabilities, budget: Budget = Budget(), rewarm: int = 0
) -> SplicePlan | None:
    """What makes the trunk's head the wanted one, as far as some of it stays behind the last change.

    Afterwards the trunk ends where the last kept cell is; what is wanted behind that is an append, as ever.
    None where nothing is to be moved or relabelled, it is not possible, or it would cost more truth than the budget.
    """
    if not (can.shift and can.trim):
        return None
    head = [w for w in wanted if w.region in HIDEABLE and w.tokens]
    tokens = [t for w in head for t in w.tokens]
    kept = list(common(ledger, head))
    if not kept:
        return None
    end, n_wanted = kept[-1].start + kept[-1].n, kept[-1].at + kept[-1].n
    stay = Ranges((k.start, k.start + k.n) for k in kept)
    going = span(0, end) - stay
    if not ledger.can_rewind(end, going, exact=False):
        return None
    parts = _labels(head, n_wanted)
    splices = list(_splices(_with_more(_changes(kept), end, budget.behind), tokens, head, budget.piece))
    if not splices and _labelled(ledger, parts):
        return None
    inserted = sum(len(s.tokens) for s in splices)
    if ledger.n_spliced + inserted > budget.tokens or (splices and ledger.most_shifts + len(splices) > budget.shifts):
        return None
    first: list[Op] = [Rewind(end)] if end < len(ledger) else []
    first += [Reveal(a, b) for a, b in ledger.hidden & stay]
    windows = _predicted(ledger, first, splices, rewarm)
    return SplicePlan(
        ops=(*first, *splices, Relabel(parts)),
        kept=n_wanted - inserted,
        inserted=inserted,
        dropped=sum(s.stop - s.start for s in splices),
        warmed=sum(windows),
        cells=end + inserted + max(windows, default=0),
    )


def compaction(
    ledger: Ledger, wanted: Sequence[Wanted], can: Capabilities, exact: Plan, n_slice: int
) -> SplicePlan | None:
    """The splices that make the trunk the wanted one, where they are worth it: much cheaper than the exact way, and
    within the budget. With no splice in it: the trunk is such a one already. `n_slice`: tokens of a batch at most.
    """
    n_wanted = sum(len(w.tokens) for w in wanted)
    if not can.shift or exact.evaluate < LEAST:
        return None
    budget = Budget(tokens=int(n_wanted * SHARE), shifts=SHIFTS, piece=min(n_slice, PIECE), behind=BEHIND)
    found = plan_splices(ledger, wanted, can, budget, BEFORE)
    if found is None:
        loose = plan(ledger, wanted, can, Policy(logits=False, slack=0))
        return None if loose.hidden or loose.evaluate > exact.evaluate * WORTH else SplicePlan.nothing(loose)
    appended = n_wanted - found.kept - found.inserted
    return found if found.evaluate + appended <= exact.evaluate * WORTH else None


def to_warm(ledger: Ledger, op: Splice, rewarm: int) -> int:
    """Tokens before the splice to evaluate again for its window: `rewarm`, or none where the window is there.

    Near the end more of them: the window that the next append needs reaches back behind the splice.
    """
    if ledger.can_rewind(op.start):
        return 0
    length = len(ledger) + len(op.tokens) - (op.stop - op.start)
    least = op.start - (length - ledger.n_swa + 1)
    return min(op.start, max(1, rewarm, least))  # one at least: a batch must follow on a cell


def spliced(ledger: Ledger, op: Splice, rewarm: int) -> int:
    """The effect of a splice on the ledger; returns how many tokens were warmed."""
    ledger.lose(len(ledger))  # other sequences were given cells
    warm = to_warm(ledger, op, rewarm)
    window = ledger.window_at(op.start) & span(op.start - warm, op.start)  # of a longer reading no more is carried over
    ledger.splice(op.start, op.stop, op.tokens, op.region, window if warm else None)
    return warm


def _predicted(ledger: Ledger, first: Sequence[Op], splices: Sequence[Splice], rewarm: int) -> list[int]:
    """Tokens that each of the splices will warm: what they do is done to a copy."""
    trial = ledger.copy()
    for op in first:
        if isinstance(op, Rewind):
            trial.rewind(op.length)
        elif isinstance(op, Reveal):
            trial.reveal(op.start, op.stop)
    return [spliced(trial, op, rewarm) for op in splices]


def _changes(kept: Sequence[Kept]) -> Iterator[tuple[int, int, int, int]]:
    """Between the kept pieces: cells [start, stop) that go, wanted tokens [at, end) that come.

    Where nothing comes the first token behind is read again: only a batch makes a shift come true.
    """
    start = at = 0
    for k in kept:
        if (start, at) != (k.start, k.at):
            more = int(at == k.at)
            yield start, k.start + more, at, k.at + more
            start, at = k.start + more, k.at + more
        start, at = max(start, k.start + k.n), max(at, k.at + k.n)


def _with_more(
    changes: Iterable[tuple[int, int, int, int]], end: int, behind: int
) -> Iterator[tuple[int, int, int, int]]:
    """The changes with the tokens behind each; those that meet then are one. Of all cells before `end` one is moved."""
    last: tuple[int, int, int, int] | None = None
    for change in changes:
        if last and change[0] - last[1] <= behind:
            last = (last[0], change[1], last[2], change[3])
            continue
        if last:
            yield last[0], last[1] + behind, last[2], last[3] + behind
        last = change
    if last:
        more = max(0, min(behind, end - 1 - last[1]))
        yield last[0], last[1] + more, last[2], last[3] + more


def _splices(
    changes: Iterable[tuple[int, int, int, int]], tokens: Sequence[int], head: Sequence[Wanted], piece: int
) -> Iterator[Splice]:
    """From left to right, so that what is evaluated sees everything before it as it is wanted."""
    ends, total = [], 0
    for w in head:
        total += len(w.tokens)
        ends.append(total)
    moved = 0
    for start, stop, at, end in changes:
        region = head[next(i for i, e in enumerate(ends) if at < e)].region
        for first in range(at, end, piece):
            some = tuple(tokens[first : min(end, first + piece)])
            place = start + moved if first == at else start + moved + first - at
            yield Splice(place, stop + moved if first == at else place, some, region)
        moved += (end - at) - (stop - start)


def _labels(head: Sequence[Wanted], n: int) -> tuple[tuple[str, str, int, int], ...]:
    """The first `n` wanted tokens by segment."""
    found, at = [], 0
    for w in head:
        if at < n:
            found.append((w.key, w.region, w.offset, min(len(w.tokens), n - at)))
        at += len(w.tokens)
    return tuple(found)


def _labelled(ledger: Ledger, parts: tuple[tuple[str, str, int, int], ...]) -> bool:
    """Whether the ledger's runs are these segments already, cut or not."""
    runs = iter(ledger.runs)
    run, at = next(runs, None), 0
    for key, region, offset, n in parts:
        end, begin = at + n, at
        while at < end:
            if run is None or (run.key, run.region) != (key, region) or run.offset != offset + at - begin:
                return False
            if run.stop > end:
                return False
            at, run = run.stop, next(runs, None)
    return True
