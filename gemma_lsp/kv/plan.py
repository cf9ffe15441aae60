"""From what a trunk holds to what is wanted: a pure decision over plain data; the engine only carries it out.

Three ways exist here: rewind (exact), hide and reveal (masks in the middle of the body: no shift, no recomputation,
an approximation downstream), and clearing. What replaces a piece in the middle is planned by `kv/splice.py`.
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
    """A segment of the wanted prompt, or a part of it: its tokens from `offset` on."""

    key: str
    region: str
    tokens: Sequence[int]
    offset: int = 0


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
    shift: bool = False  # move the cells behind a place, so that something else can stand there; only if tried


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """`slack`: tokens that an exact path may cost more than a masked one and is still taken.

    `logits`: whether a next token will be asked for, so that at least one token must be evaluated.
    `cells`: how many tokens the trunk may hold when the prompt is in it, masked ones too; 0: any number.
    """

    exact_only: bool = False
    logits: bool = True
    slack: int = 128  # guessed: half a second on two cores
    cells: int = 0


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
    exact = best = _settle(ledger, wanted, _match(ledger, wanted, exact=True), can, policy.logits, exact=True)
    if can.hide and can.trim and not policy.exact_only:
        masked = _settle(ledger, wanted, _match(ledger, wanted, exact=False), can, policy.logits, exact=False)
        if _price(ledger, wanted, best) > _price(ledger, wanted, masked) + policy.slack:
            best = masked
    if 0 < policy.cells < best.length + _left(wanted, best):
        best = _with_room(ledger, wanted, [exact] if best is exact else [exact, best], can, policy)
    return _as_plan(ledger, wanted, best)


def _with_room(
    ledger: Ledger, wanted: Sequence[Wanted], paths: Sequence[_Path], can: Capabilities, policy: Policy
) -> _Path:
    """The cheapest of these paths, or of their beginnings before something masked, that leaves room for what is wanted;
    where none does, nothing is kept. The first path is the exact one.
    """
    found: list[_Path] = []
    for path, exact in zip(paths, (True, False), strict=False):
        cuts = [path] + [_back(ledger, wanted, path, path.length - start) for start, _ in path.hidden]
        settled = (_settle(ledger, wanted, cut, can, policy.logits, exact=exact) for cut in cuts)
        found += [cut for cut in settled if cut.length + _left(wanted, cut) <= policy.cells]
    return min(found, key=lambda path: _left(wanted, path), default=_Path(0, Ranges(), 0, 0))


def _match(ledger: Ledger, wanted: Sequence[Wanted], *, exact: bool) -> _Path:
    """Walks both lists side by side, part by part of a segment.

    `exact` stops where a cell would differ from a fresh evaluation; else what is not wanted is masked on the way.
    """
    later: dict[tuple[str, str], list[int]] = {}
    if not exact:
        for index, run in enumerate(ledger.runs):
            later.setdefault((run.key, run.region), []).append(index)
    hidden, i, j, length = Ranges(), 0, 0, 0
    at = offset = 0  # how far into ledger.runs[i] and wanted[j]
    while i < len(ledger.runs) and j < len(wanted):
        run, want = ledger.runs[i], wanted[j]
        start = run.start + at
        same = run.key == want.key and run.region == want.region
        ahead = want.offset + offset - run.offset - at if same else 0  # the segment's tokens that are not wanted
        if same and ahead == 0:
            if (exact or run.region not in HIDEABLE) and (run.approximate or run.seen != hidden.below(start)):
                break  # short regions are computed anew rather than left with what is masked in their memory
            n = min(run.stop - start, len(want.tokens) - offset)
            at, offset, length = at + n, offset + n, start + n
        else:
            stop = min(run.stop, start + ahead) if same else run.stop
            if ahead < 0 or not (
                # What is masked already and not wanted stays masked: cells after it may have been computed that way.
                ledger.hidden.covers(span(start, stop))
                or (
                    not exact and run.region in HIDEABLE and (same or _after(later.get((want.key, want.region), ()), i))
                )
            ):
                break
            hidden, at = hidden | span(start, stop), stop - run.start
        if run.start + at == run.stop:
            i, at = i + 1, 0
        if offset == len(want.tokens):
            j, offset = j + 1, 0
    return _into_run(ledger, wanted, _Path(length, hidden, j, offset), i, at, exact=exact)


def _after(indices: Sequence[int], i: int) -> bool:
    return bool(indices) and indices[-1] > i


def _into_run(ledger: Ledger, wanted: Sequence[Wanted], path: _Path, i: int, at: int, *, exact: bool) -> _Path:
    """Extends a path token by token into the short regions, whose segments have new names with every key.

    What may be masked later keeps to its own segments.
    """
    length, hidden, j, offset = path.length, path.hidden, path.run, path.offset
    while i < len(ledger.runs):
        run = ledger.runs[i]
        start, begin = run.start + at, at
        if ledger.hidden.covers(span(start, run.stop)):
            hidden, i, at = hidden | span(start, run.stop), i + 1, 0
            continue
        if (exact or run.region not in HIDEABLE) and (run.approximate or run.seen != hidden.below(start)):
            break
        held = ledger.tokens[run.start : run.stop]
        while at < len(held) and j < len(wanted) and wanted[j].region not in HIDEABLE:
            n = _common(held, at, wanted[j].tokens, offset)
            at, offset = at + n, offset + n
            if offset == len(wanted[j].tokens):
                j, offset = j + 1, 0
            elif n == 0 or at < len(held):
                break
        if at > begin:
            length = run.start + at
        if at < len(held) or j == len(wanted):
            break
        i, at = i + 1, 0
    return _Path(length, hidden.below(length), j, offset)


def _common(a: Sequence[int], i: int, b: Sequence[int], j: int) -> int:
    """Length of the common run of a[i:] and b[j:]."""
    n = min(len(a) - i, len(b) - j)
    if array("i", a[i : i + n]) == array("i", b[j : j + n]):
        return n
    for k in range(n):
        if a[i + k] != b[j + k]:
            return k
    return n


def _settle(
    ledger: Ledger, wanted: Sequence[Wanted], path: _Path, can: Capabilities, logits: bool, *, exact: bool
) -> _Path:
    """Shortens a path until the rewind provably loses nothing and, for logits, a token is left to evaluate."""
    path = _strip(path)
    if path.run == len(wanted) and logits:
        path = _strip(_back(ledger, wanted, path, 1))
    if path.length < len(ledger) and not can.trim:
        return _Path(0, Ranges(), 0, 0)
    while path.length and not ledger.can_rewind(path.length, path.hidden, exact=exact):
        # A window that ends inside a lost range holds lost cells, so the next candidate is that range's start.
        missing = ledger.window_at(path.length, path.hidden) - ledger.resident(path.length, exact=exact)
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


def _price(ledger: Ledger, wanted: Sequence[Wanted], path: _Path) -> int:
    """Tokens to evaluate now, and those that would have to be again if they were wanted back."""
    lost = sum(run.stop - max(run.start, path.length) for run in _masked_behind(ledger, path.length))
    return _left(wanted, path) + lost


def _masked_behind(ledger: Ledger, length: int) -> list[Run]:
    """Runs behind a rewind that could have been masked and shown again."""
    found: list[Run] = []
    for run in reversed(ledger.runs):
        if run.stop <= length:
            break
        if run.region in HIDEABLE:
            found.append(run)
    return found


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
