"""From what a trunk holds to what is wanted: a pure decision over plain data; the engine only carries it out.

Three ways exist today: rewind (exact), hide and reveal (masks in the middle of the body: no shift, no recomputation,
an approximation downstream), and clearing. Splice, checkpoint restore and repair belong here as further operations.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from gemma_lsp.kv.ledger import Ledger, Run
from gemma_lsp.kv.ranges import Ranges, span

HIDEABLE = frozenset({"preamble", "body", "errata"})
"""Regions that may be masked, and that stay when something before them is masked."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One segment of the wanted prompt with its tokens."""

    key: str
    region: str
    tokens: Sequence[int]


@dataclass(frozen=True, slots=True)
class Rewind:
    """Remove everything from position `length` on."""

    length: int


@dataclass(frozen=True, slots=True)
class Hide:
    """Move [start, stop) to the attic."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Reveal:
    """Bring [start, stop) back from the attic."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Clear:
    """Empty the trunk, its guard and its attic."""


Op = Rewind | Hide | Reveal | Clear


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What the backend can do with one sequence; asked of it, never assumed."""

    trim: bool = True  # remove a sequence's end and go on from there
    hide: bool = True  # mask a range in the middle through a second sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """`slack`: tokens that an exact path may cost more than a masked one and is still taken.

    `logits`: whether a next token will be asked for, so that at least one token must be evaluated.
    """

    exact_only: bool = False
    logits: bool = True
    slack: int = 128  # guessed: half a second on two cores


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Carry out `ops` in order, then evaluate the wanted tokens from (run, offset) on.

    `reused` counts visible tokens that stay; `evaluate` those to compute; `hidden` is what is masked afterwards.
    """

    ops: tuple[Op, ...]
    length: int
    run: int
    offset: int
    reused: int
    evaluate: int
    hidden: int


@dataclass(frozen=True, slots=True)
class _Path:
    """A match: the ledger stays up to `length` with `hidden` masked; the wanted tokens go on at (run, offset)."""

    length: int
    hidden: Ranges
    run: int
    offset: int


def plan(ledger: Ledger, wanted: Sequence[Wanted], can: Capabilities, policy: Policy = Policy()) -> Plan:
    """The cheapest way from `ledger` to `wanted`. Raises `ValueError` if nothing is wanted."""
    total = sum(len(w.tokens) for w in wanted)
    if total == 0:
        raise ValueError("nothing is wanted")
    best = _settle(ledger, wanted, _match(ledger, wanted, exact=True), can, policy.logits)
    if can.hide and can.trim and not policy.exact_only:
        masked = _settle(ledger, wanted, _match(ledger, wanted, exact=False), can, policy.logits)
        if _left(wanted, best) > _left(wanted, masked) + policy.slack:
            best = masked
    return _as_plan(ledger, wanted, best)


def _match(ledger: Ledger, wanted: Sequence[Wanted], *, exact: bool) -> _Path:
    """Walks both lists of runs side by side. `exact` stops where a cell would differ from a fresh evaluation."""
    later: dict[tuple[str, str], list[int]] = {}
    if not exact:
        for index, run in enumerate(ledger.runs):
            later.setdefault((run.key, run.region), []).append(index)
    hidden, i, j, length = Ranges(), 0, 0, 0
    while i < len(ledger.runs) and j < len(wanted):
        run, want = ledger.runs[i], wanted[j]
        if run.key == want.key and run.region == want.region:
            if (exact or run.region not in HIDEABLE) and run.seen != hidden.below(run.start):
                break  # short regions are computed anew rather than left with what is masked in their memory
            i, j, length = i + 1, j + 1, run.stop
        elif exact:
            # What is masked already and not wanted stays masked: cells after it may have been computed that way.
            if not ledger.hidden.covers(span(run.start, run.stop)):
                break
            hidden, i = hidden | span(run.start, run.stop), i + 1
        elif ledger.hidden.covers(span(run.start, run.stop)) or (
            run.region in HIDEABLE and _after(later.get((want.key, want.region), ()), i)
        ):
            hidden, i = hidden | span(run.start, run.stop), i + 1
        else:
            break
    return _into_run(ledger, wanted, _Path(length, hidden, j, 0), i, exact=exact)


def _after(indices: Sequence[int], i: int) -> bool:
    return bool(indices) and indices[-1] > i


def _into_run(ledger: Ledger, wanted: Sequence[Wanted], path: _Path, i: int, *, exact: bool) -> _Path:
    """Extends a path token by token into runs that no longer agree as wholes."""
    length, hidden, j, offset = path.length, path.hidden, path.run, 0
    while i < len(ledger.runs):
        run = ledger.runs[i]
        if ledger.hidden.covers(span(run.start, run.stop)):
            hidden, i = hidden | span(run.start, run.stop), i + 1
            continue
        if (exact or run.region not in HIDEABLE) and run.seen != hidden.below(run.start):
            break
        held, at = ledger.tokens[run.start : run.stop], 0
        while at < len(held) and j < len(wanted) and _may_share(run, wanted[j]):
            n = _common(held, at, wanted[j].tokens, offset)
            at, offset = at + n, offset + n
            if offset == len(wanted[j].tokens):
                j, offset = j + 1, 0
            elif n == 0 or at < len(held):
                break
        if at:
            length = run.start + at
        if at < len(held) or j == len(wanted):
            break
        i += 1
    return _Path(length, hidden.below(length), j, offset)


def _may_share(run: Run, want: Wanted) -> bool:
    """Whether part of a run may stand for part of a segment. What may be masked later keeps to whole segments."""
    return want.region not in HIDEABLE or run.key == want.key + "/cut"


def _common(a: Sequence[int], i: int, b: Sequence[int], j: int) -> int:
    """Length of the common run of a[i:] and b[j:]."""
    n = min(len(a) - i, len(b) - j)
    if array("i", a[i : i + n]) == array("i", b[j : j + n]):
        return n
    for k in range(n):
        if a[i + k] != b[j + k]:
            return k
    return n


def _settle(ledger: Ledger, wanted: Sequence[Wanted], path: _Path, can: Capabilities, logits: bool) -> _Path:
    """Shortens a path until the rewind is provably exact and, for logits, a token is left to evaluate."""
    path = _strip(path)
    if path.run == len(wanted) and logits:
        path = _strip(_back(ledger, wanted, path, 1))
    if path.length < len(ledger) and not can.trim:
        return _Path(0, Ranges(), 0, 0)
    while path.length and not ledger.can_rewind(path.length, path.hidden):
        # A window that ends inside a lost range holds lost cells, so the next candidate is that range's start.
        missing = ledger.window_at(path.length, path.hidden) - ledger.sliding
        start = list(missing)[-1][0]
        path = _strip(_back(ledger, wanted, path, path.length - start))
    return path


def _strip(path: _Path) -> _Path:
    """The path without hidden tokens at its end: the next token's position must follow a visible one."""
    while path.length and path.length - 1 in path.hidden:
        start = max(a for a, b in path.hidden if b >= path.length)
        path = _Path(start, path.hidden.below(start), path.run, path.offset)
    return path


def _back(ledger: Ledger, wanted: Sequence[Wanted], path: _Path, n: int) -> _Path:
    """The path with its last `n` positions given up."""
    length = path.length - n
    visible = n - len(path.hidden - path.hidden.below(length))
    run, offset = path.run, path.offset
    while visible > 0:
        if offset == 0:
            run -= 1
            offset = len(wanted[run].tokens)
            continue
        step = min(visible, offset)
        visible, offset = visible - step, offset - step
    return _Path(length, path.hidden.below(length), run, offset)


def _left(wanted: Sequence[Wanted], path: _Path) -> int:
    return sum(len(w.tokens) for w in wanted[path.run :]) - path.offset


def _as_plan(ledger: Ledger, wanted: Sequence[Wanted], path: _Path) -> Plan:
    left = _left(wanted, path)
    ops: list[Op] = []
    if path.length == 0:
        ops += [Clear()] if len(ledger) else []
    else:
        if path.length < len(ledger):
            ops.append(Rewind(path.length))
        kept = ledger.hidden.below(path.length)
        ops += [Reveal(a, b) for a, b in kept - path.hidden]
        ops += [Hide(a, b) for a, b in path.hidden - kept]
    return Plan(
        ops=tuple(ops),
        length=path.length,
        run=path.run,
        offset=path.offset,
        reused=path.length - len(path.hidden),
        evaluate=left,
        hidden=len(path.hidden),
    )
