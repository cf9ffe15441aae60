"""Splices, as a table of small cases over the fake backend, and as a state machine beside everything else."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from gemma_lsp.backends.fake import FakeBackend
from gemma_lsp.base.errors import DecodeFailed, EngineError
from gemma_lsp.engine.backend import Aborted, NoSlot, ShiftFailed
from gemma_lsp.engine.splicing import Scratch, apply_splice_op
from gemma_lsp.engine.trunk import Trunk
from gemma_lsp.kv.plan import HIDEABLE, Capabilities, Policy, Reveal, Rewind, Wanted, plan
from gemma_lsp.kv.ranges import span
from gemma_lsp.kv.splice import Budget, Relabel, Splice, SplicePlan, plan_splices
from tests.unit.test_kv_plan import BODY, LedgerEqualsBackend, evaluate, never, wanted

CAN = Capabilities(shift=True)
SCRATCH = 3
LONG = "qrstuvwxyz" * 3  # more than a planner would rather read again than move


def held(text: str, n_swa: int = 0) -> tuple[FakeBackend, Trunk]:
    backend = FakeBackend(n_swa=n_swa, can=CAN)
    trunk = Trunk(backend, 0, 1, 2)
    parts = wanted(text)
    evaluate(trunk, parts, plan(trunk.ledger, parts, backend.can))
    return backend, trunk


def decide(trunk: Trunk, text: str, budget: Budget | None = None, rewarm: int = 0) -> SplicePlan | None:
    return plan_splices(trunk.ledger, wanted(text), CAN, budget or Budget(), rewarm)


def carry_out(backend: FakeBackend, trunk: Trunk, decided: SplicePlan, rewarm: int = 0) -> int:
    return sum(apply_splice_op(backend, trunk, op, Scratch(SCRATCH, rewarm), never) for op in decided.ops)


def shown(backend: FakeBackend) -> str:
    return "".join(chr(token) for _, (token, _) in sorted(backend.cells(0).items()))


CASES = {
    "insert": ("b:aaaa b:bbbb b:cccc", "b:aaaa b:bbXXbb b:cccc", [(6, 6, "XX")]),
    "delete": ("b:aaaa b:bXXc b:dddd", "b:aaaa b:bc b:dddd", [(5, 8, "c")]),
    "delete a whole chunk": ("b:aaaa b:bbbb b:cccc", "b:aaaa b:cccc", [(4, 9, "c")]),
    "replace": ("b:aaaa b:bXXc b:dddd", "b:aaaa b:bYc b:dddd", [(5, 7, "Y")]),
    "insert a chunk": ("b:aaaa b:cccc", "b:aaaa b:bbbb b:cccc", [(4, 4, "bbbb")]),
    "at the very start": ("b:aaaa b:cccc", "b:xaaaa b:cccc", [(0, 0, "x")]),
    "two files": ("b:aaaa b:bbbb b:cccc b:dddd", "b:aaXaa b:bbbb b:cYccc b:dddd", [(2, 2, "X"), (10, 10, "Y")]),
    "grow, then shrink": ("b:aaaa b:bbbb b:cZZZc b:dd", "b:aXXaa b:bbbb b:cc b:dd", [(1, 2, "XX"), (10, 14, "c")]),
    "far apart in one chunk": (
        f"b:a{LONG}b b:cc",
        f"b:Xa{LONG}Yb b:cc",
        [(0, 0, "X"), (32, 32, "Y")],
    ),
    "errata fold": ("b:aaaa b:bbbb b:cccc e:BB", "b:aaaa b:bBBb b:cccc", [(5, 7, "BB")]),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("n_swa", [0, 6])
def test_only_what_is_new_is_evaluated(name: str, n_swa: int) -> None:
    """Each splice stands in the positions that those before it left; afterwards the trunk shows what is wanted."""
    before, after, expected = CASES[name]
    backend, trunk = held(before, n_swa)
    decided = decide(trunk, after)
    assert decided is not None
    assert [(s.start, s.stop, "".join(map(chr, s.tokens))) for s in decided.splices] == expected
    assert decided.inserted == sum(len(text) for _, _, text in expected)
    assert n_swa or decided.warmed == 0
    evaluated = backend.evaluated
    assert carry_out(backend, trunk, decided) == decided.evaluate == backend.evaluated - evaluated
    assert shown(backend) == "".join(chr(t) for w in wanted(after) for t in w.tokens)
    assert list(dict.fromkeys(run.key for run in trunk.ledger.runs)) == [w.key for w in wanted(after)]
    assert plan_splices(trunk.ledger, wanted(after), CAN) is None


def test_what_stands_behind_is_moved_and_never_called_exact() -> None:
    """It remembers the old text: the repair starts where the splice stands."""
    backend, trunk = held("b:aaaa b:bbbb b:cccc")
    decided = decide(trunk, "b:aaaa b:bXbbb b:cccc")
    assert decided
    carry_out(backend, trunk, decided)
    assert trunk.ledger.exact_upto() == 5
    assert (trunk.ledger.n_spliced, trunk.ledger.most_shifts) == (1, 1)
    assert set(backend.shifts(0).items()) >= {(4, 0), (5, 0), (6, 1), (12, 1)}
    parts = wanted("b:aaaa b:bXbbb b:cccc r:xy")
    answer = plan(trunk.ledger, parts, CAN, Policy(slack=0))
    assert (answer.ops, answer.reused, answer.evaluate) == ((), 13, 2)
    repair = plan(trunk.ledger, parts, CAN, Policy(exact_only=True))
    assert (repair.ops, repair.evaluate) == ((Rewind(5),), 10)


def test_a_replacement_of_equal_length_moves_nothing_and_is_not_exact_either() -> None:
    """The cells behind it stay where they are and are stale all the same."""
    backend, trunk = held("b:aaaa b:bbbb b:cccc")
    decided = decide(trunk, "b:aaaa b:bXbb b:cccc")
    assert decided
    carry_out(backend, trunk, decided)
    assert set(backend.shifts(0).values()) == {0}
    assert trunk.ledger.exact_upto() == 5


def test_what_was_masked_is_folded_away_or_comes_back() -> None:
    """Of the masked lines those that are wanted again are shown, the others go with their positions."""
    backend, trunk = held("b:aaaa b:lmmr b:cccc")
    parts = wanted("b:aaaa b:l..r b:cccc e:MM r:q")
    evaluate(trunk, parts, plan(trunk.ledger, parts, CAN, Policy(slack=0)))
    folded = decide(trunk, "b:aaaa b:lMMr b:cccc")
    assert folded
    assert folded.splices == (Splice(5, 7, (77, 77), "body"),)
    back = decide(trunk, "b:aaaa b:lmmr b:cXccc")
    assert back
    assert back.ops[:2] == (Rewind(12), Reveal(5, 7))
    carry_out(backend, trunk, folded)
    assert shown(backend) == "aaaalMMrcccc"
    assert not backend.cells(2)


def test_a_long_insertion_goes_in_pieces() -> None:
    """Each is one step, and what is behind is moved once for each."""
    backend, trunk = held("b:aaaa b:cccc")
    decided = decide(trunk, "b:aaaa b:BCDEFGHIJ b:cccc", Budget(piece=4))
    assert decided
    assert [(s.start, len(s.tokens)) for s in decided.splices] == [(4, 4), (8, 4), (12, 1)]
    carry_out(backend, trunk, decided)
    assert shown(backend) == "aaaaBCDEFGHIJcccc"
    assert trunk.ledger.most_shifts == 3


@pytest.mark.parametrize(
    ("wanted_now", "behind", "read"),
    [
        ("b:aaaa b:bXbbb b:cccc b:dddd", 3, [(5, "Xbbb")]),
        ("b:aaaa b:bXbbb b:cccc b:dddd", 6, [(5, "Xbbbccc")]),  # across a segment's end
        ("b:aaaa b:bXbbb b:cccc b:dYddd", 3, [(5, "Xbbb"), (14, "Ydd")]),  # one token at least is moved
        ("b:aXaaa b:bbbb b:cYccc b:dddd", 7, [(1, "Xaaabbbb"), (10, "Ycccddd")]),
        ("b:aXaaa b:bbbb b:cYccc b:dddd", 8, [(1, "XaaabbbbcYcccddd")]),  # they meet: one splice
        ("b:bbbb b:cccc b:dddd", 2, [(0, "bbb")]),  # only a deletion
    ],
)
def test_what_stands_right_behind_a_change_is_read_again(
    wanted_now: str, behind: int, read: list[tuple[int, str]]
) -> None:
    """It speaks of the old text more than what is further away; tokens and names are as they were."""
    backend, trunk = held("b:aaaa b:bbbb b:cccc b:dddd")
    decided = decide(trunk, wanted_now, Budget(behind=behind))
    assert decided
    assert [(s.start, "".join(map(chr, s.tokens))) for s in decided.splices] == read
    assert carry_out(backend, trunk, decided) == sum(len(text) for _, text in read)
    assert shown(backend) == "".join(chr(t) for w in wanted(wanted_now) for t in w.tokens)
    assert list(dict.fromkeys(run.key for run in trunk.ledger.runs)) == [w.key for w in wanted(wanted_now)]


def test_the_budget_says_when_to_repair_instead() -> None:
    """Too many spliced tokens, or cells that were moved too often: no plan."""
    backend, trunk = held("b:aaaa b:bbbb b:cccc")
    decided = decide(trunk, "b:aaaa b:bXbbb b:cccc")
    assert decided
    carry_out(backend, trunk, decided)
    more = "b:aaaa b:bXbYbb b:cccc"
    assert decide(trunk, more, Budget(tokens=2, shifts=2))
    assert decide(trunk, more, Budget(tokens=1)) is None
    assert decide(trunk, more, Budget(shifts=1)) is None


def test_without_the_capability_nothing_is_spliced() -> None:
    """Whatever was not tried, or failed when it was, is not done."""
    _, trunk = held("b:aaaa b:bbbb b:cccc")
    assert plan_splices(trunk.ledger, wanted("b:aaaa b:bXbbb b:cccc"), Capabilities()) is None
    assert plan_splices(trunk.ledger, wanted("b:zzzz"), CAN) is None


def test_the_sliding_half_has_old_cells_a_hole_and_the_window_at_the_end() -> None:
    """And only what is proven counts: a rewind into the hole is refused, one to the end is not."""
    backend, trunk = held("b:" + "a" * 20 + " b:" + "b" * 20, n_swa=6)
    decided = decide(trunk, "b:" + "a" * 20 + " b:bX" + "b" * 19, rewarm=3)
    assert decided
    assert decided.warmed == 3
    carry_out(backend, trunk, decided, 3)
    assert {18, 19, 20, 21} <= backend.sliding(0)
    assert not backend.sliding(0) & set(range(22, 30))
    assert set(range(36, 41)) <= backend.sliding(0)
    ledger = trunk.ledger
    assert ledger.can_rewind(41)
    assert not any(ledger.can_rewind(n) for n in range(16, 31))
    assert list(ledger.warmed) == [(18, 21)]


def test_warmed_cells_prove_nothing_but_are_gone_on_from() -> None:
    """A splice near the end warms the whole window that the next append needs; a repair does not trust it."""
    backend, trunk = held("b:" + "a" * 30 + " b:bbbb", n_swa=10)
    trunk.ledger.sliding = trunk.ledger.sliding.below(0) | trunk.ledger.window_at(34)
    after = "b:" + "a" * 30 + " b:bXbbb"
    decided = decide(trunk, after)
    assert decided
    carry_out(backend, trunk, decided)
    assert not trunk.ledger.can_rewind(len(trunk.ledger))
    assert trunk.ledger.can_rewind(len(trunk.ledger), exact=False)
    parts = wanted(after + " r:xy")
    assert plan(trunk.ledger, parts, CAN, Policy(slack=0)).evaluate == 2
    assert plan(trunk.ledger, parts, CAN, Policy(exact_only=True)).evaluate == 37


def test_a_warmed_window_is_kept_so_that_a_long_tail_does_not_cost_the_head() -> None:
    """Errata fold near the body's end, and answers are longer than a window: only the questions are read."""
    backend, trunk = held("b:" + "a" * 40 + " e:" + "E" * 20 + " r:" + "q" * 30, n_swa=10)
    body = "b:" + "a" * 35 + "XX" + "a" * 5
    decided = decide(trunk, body, rewarm=3)
    assert decided
    carry_out(backend, trunk, decided, 3)
    assert trunk.ledger.warmed & trunk.ledger.window_at(42)
    for question in ("y" * 35, "z" * 35, "w"):
        parts = wanted(f"{body} r:{question}")
        found = plan(trunk.ledger, parts, CAN, Policy(slack=0))
        assert found.evaluate == len(question)
        evaluate(trunk, parts, found)
        assert set(range(33, 42)) <= backend.sliding(1)


def test_what_is_masked_of_a_warmed_window_comes_back_for_nothing() -> None:
    """As it does where the window is proven: a change near the body's end is made, asked about and undone."""
    head = "b:" + "a" * 40
    backend, trunk = held(f"{head} b:bbbb b:cccc e:" + "E" * 20 + " r:" + "q" * 30, n_swa=10)
    decided = decide(trunk, f"{head} b:bbbb b:cXccc", rewarm=3)
    assert decided
    carry_out(backend, trunk, decided, 3)
    assert trunk.ledger.warmed & span(40, 44)
    for text, read in (
        (f"{head} b:cXccc e:BBB r:" + "w" * 30, 33),
        (f"{head} b:cXccc e:BBB r:" + "v" * 30, 30),
        (f"{head} b:bbbb b:cXccc r:yy", 2),
    ):
        parts = wanted(text)
        found = plan(trunk.ledger, parts, CAN, Policy(slack=0))
        assert found.evaluate == read
        evaluate(trunk, parts, found)


def test_warmed_cells_are_not_gone_on_from_where_all_before_is_exact() -> None:
    """What follows them would be called exact, and could be written to disk."""
    head = "b:" + "a" * 30 + " b:" + "b" * 30
    backend, trunk = held(head + " b:" + "c" * 30, n_swa=10)
    decided = decide(trunk, head + " b:X" + "c" * 30, rewarm=12)
    assert decided
    carry_out(backend, trunk, decided, 12)
    assert list(trunk.ledger.warmed) == [(51, 60)]  # of a longer reading the window is what is carried over
    parts = wanted(head + " r:q")
    evaluate(trunk, parts, plan(trunk.ledger, parts, CAN, Policy(slack=0)))
    assert trunk.ledger.exact_upto() == len(trunk.ledger)
    assert backend.cells(0) == held(head + " r:q", n_swa=10)[0].cells(0)


def test_a_cancel_while_the_window_is_warmed_leaves_the_trunk_as_it_was() -> None:
    """That part is cut short like any prefill."""
    backend, trunk = held("b:" + "a" * 20 + " b:" + "b" * 20, n_swa=6)
    cells, runs = backend.cells(0), list(trunk.ledger.runs)
    decided = decide(trunk, "b:" + "a" * 20 + " b:bX" + "b" * 19, rewarm=5)
    assert decided
    with pytest.raises(Aborted):
        apply_splice_op(backend, trunk, decided.splices[0], Scratch(SCRATCH, 5), lambda: True)
    assert (backend.cells(0), trunk.ledger.runs, backend.cells(SCRATCH)) == (cells, runs, {})


def test_the_batch_that_moves_cells_is_not_cut_short() -> None:
    """It asks nobody; else some layers would be rotated twice."""
    backend, trunk = held("b:aaaa b:bbbb b:cccc")
    decided = decide(trunk, "b:aaaa b:bXbbb b:cccc")
    assert decided
    apply_splice_op(backend, trunk, decided.splices[0], Scratch(SCRATCH, 0), lambda: True)
    assert shown(backend) == "aaaabXbbbcccc"


@pytest.mark.parametrize("error", [DecodeFailed("refused"), NoSlot("full")])
def test_a_failure_in_the_middle_leaves_an_empty_trunk(error: EngineError) -> None:
    """Nothing half-done is ever gone on from."""
    backend, trunk = held("b:aaaa b:bbbb b:cccc")
    decided = decide(trunk, "b:aaaa b:bXbbb b:cccc")
    assert decided
    backend.fail_next = [error]
    with pytest.raises(type(error)):
        carry_out(backend, trunk, decided)
    assert (len(trunk.ledger), [backend.cells(seq) for seq in range(4)]) == (0, [{}] * 4)


def test_a_failed_shift_poisons_the_whole_context() -> None:
    """Every sequence is empty afterwards, other trunks' too, and what is evaluated then is a cold start's."""
    backend, trunk = held("b:aaaa b:bbbb b:cccc")
    backend.evaluate(5, 0, [1, 2, 3], False, never)
    decided = decide(trunk, "b:aaaa b:bXbbb b:cccc")
    assert decided
    backend.fail_shifts = 1
    with pytest.raises(ShiftFailed):
        carry_out(backend, trunk, decided)
    assert (len(trunk.ledger), [backend.cells(seq) for seq in range(6)]) == (0, [{}] * 6)
    parts = wanted("b:aaaa b:bXbbb")
    evaluate(trunk, parts, plan(trunk.ledger, parts, CAN))
    assert backend.cells(0) == held("b:aaaa b:bXbbb")[0].cells(0)


def test_nothing_is_saved_while_cells_wait_to_be_moved() -> None:
    """Nor is a trunk with moved cells ever written to disk: it would come back as exact."""
    backend, trunk = held("b:aaaa b:bbbb b:cccc", n_swa=6)
    backend.shift(0, 6, -1, 2)
    with pytest.raises(EngineError, match="evaluate first"):
        backend.save(0)
    with pytest.raises(EngineError, match="evaluate first"):
        backend.window(0)
    backend, trunk = held("b:aaaa b:bbbb b:cccc")
    decided = decide(trunk, "b:aaaa b:bXbbb b:cccc")
    assert decided
    carry_out(backend, trunk, decided)
    with pytest.raises(ValueError, match="moved"):
        trunk.save()


def test_a_relabel_cuts_what_was_one_run() -> None:
    """Names follow the tokens; a run that two segments share is cut."""
    _, trunk = held("b:aaaa b:bbbb")
    trunk.ledger.relabel((("one", "body", 0, 3), ("two", "body", 5, 3)))
    assert [(r.key, r.offset, r.start, r.stop) for r in trunk.ledger.runs] == [
        ("one", 0, 0, 3),
        ("two", 5, 3, 4),
        ("two", 6, 4, 6),
        ("b:bbbb", 2, 6, 8),
    ]


TEXTS = st.lists(st.text("abcxyz", min_size=1, max_size=9), min_size=1, max_size=6)


@given(
    before=TEXTS,
    after=TEXTS,
    n_swa=st.sampled_from([0, 5]),
    rewarm=st.integers(0, 6),
    piece=st.integers(1, 5),
    behind=st.integers(0, 6),
)
@settings(max_examples=200, deadline=None)
def test_a_plan_leads_to_what_is_wanted_at_the_predicted_cost(
    before: list[str], after: list[str], n_swa: int, rewarm: int, piece: int, behind: int
) -> None:
    """For any two prompts: kept and inserted are the wanted head up to the last kept cell, and no more is evaluated."""
    old, new = (" ".join(f"b:{text}" for text in texts) for texts in (before, after))
    backend, trunk = held(old, n_swa)
    decided = plan_splices(trunk.ledger, wanted(new), CAN, Budget(piece=piece, behind=behind), rewarm)
    if decided is None:
        return
    assert all(s.tokens and len(s.tokens) <= piece for s in decided.splices)
    assert carry_out(backend, trunk, decided, rewarm) == decided.evaluate
    text = "".join(after)
    assert shown(backend) == text[: decided.kept + decided.inserted]
    assert len(trunk.ledger) == decided.kept + decided.inserted
    parts = wanted(new + " r:?")
    evaluate(trunk, parts, plan(trunk.ledger, parts, CAN, Policy(slack=0)))
    assert shown(backend) == text + "?"


class SplicesToo(LedgerEqualsBackend):
    """Everything that the plan's machine does, with splices between, some of which fail or are cut short."""

    def __init__(self) -> None:
        super().__init__()
        self.backend = FakeBackend(n_swa=self.n_swa, n_slice=4, can=CAN)
        self.trunk = Trunk(self.backend, 0, 1, 2)

    @rule(
        body=st.tuples(*(st.sampled_from(["", "XX", *forms]) for forms in BODY)).filter(any),
        extra=st.sampled_from(["", "aXaa", "dYdddd", "eeeeZeee"]),
        errata=st.sampled_from(["", "AA", "lmmr"]),
        rewarm=st.integers(0, 7),
        behind=st.sampled_from([0, 0, 1, 3]),
        cut=st.sampled_from([None, None, 0, 1, 2]),
        failure=st.sampled_from([None, None, None, DecodeFailed("refused"), NoSlot("full"), ShiftFailed("half-way")]),
    )
    def splice(
        self,
        body: tuple[str, ...],
        extra: str,
        errata: str,
        rewarm: int,
        behind: int,
        cut: int | None,
        failure: Exception | None,
    ) -> None:
        names = [*(f"b:{b}" for b in dict.fromkeys((*body, extra)) if b), *([f"e:{errata}"] if errata else [])]
        decided = plan_splices(self.trunk.ledger, wanted(" ".join(names)), CAN, Budget(piece=3, behind=behind), rewarm)
        if decided is None:
            return
        self.last = []
        if isinstance(failure, ShiftFailed):
            self.backend.fail_shifts = 1
        elif failure:
            self.backend.fail_next = [failure]
        left = [cut if cut is not None else 1 << 30]

        def abort() -> bool:
            left[0] -= 1
            return left[0] < 0

        try:
            for op in decided.ops:
                apply_splice_op(self.backend, self.trunk, op, Scratch(SCRATCH, rewarm), abort)
        except EngineError:
            return
        finally:
            self.backend.fail_next, self.backend.fail_shifts = [], 0
            assert not self.backend.cells(SCRATCH)
        self.last = _first(wanted(" ".join(names)), len(self.trunk.ledger))

    @invariant()
    def what_is_warmed_is_there(self) -> None:
        warmed = {p for a, b in self.trunk.ledger.warmed for p in range(a, b)}
        assert warmed <= self.backend.sliding(0) | self.backend.sliding(2)

    @invariant()
    def moved_cells_are_known_and_not_called_exact(self) -> None:
        ledger = self.trunk.ledger
        moved = self.backend.shifts(0) | self.backend.shifts(2)
        for run in ledger.runs:
            assert all(moved.get(p, 0) <= run.shifts for p in range(run.start, run.stop))
            visible = span(run.start, run.stop) - ledger.hidden
            assert not run.approximate or all(start >= ledger.exact_upto() for start, _ in visible)

    @invariant()
    def cells_below_the_first_inexact_one_are_a_cold_start(self) -> None:
        ledger = self.trunk.ledger
        exact = ledger.exact_upto()
        if ledger.hidden.below(exact):
            return
        cold = FakeBackend(n_swa=self.n_swa, n_slice=4096)
        for position, token in enumerate(ledger.tokens[:exact]):
            cold.evaluate(0, position, [token], False, never)
        held_cells = self.backend.cells(0)
        assert all(held_cells[p] == cell for p, cell in cold.cells(0).items())


def _first(parts: list[Wanted], n: int) -> list[Wanted]:
    """The head up to its `n`th token."""
    found, at = [], 0
    for w in parts:
        if w.region in HIDEABLE and at < n:
            found.append(Wanted(w.key, w.region, w.tokens[: n - at], w.offset))
            at += len(w.tokens)
    return found


class SplicesTooFull(SplicesToo):
    """The same on plain attention."""

    n_swa = 0


SplicesToo.TestCase.settings = settings(max_examples=120, stateful_step_count=12, deadline=None)
SplicesTooFull.TestCase.settings = settings(max_examples=60, stateful_step_count=12, deadline=None)
TestWindowed = SplicesToo.TestCase
TestFull = SplicesTooFull.TestCase


def test_a_relabel_is_an_operation_like_the_others() -> None:
    """Where only the names differ nothing is evaluated."""
    backend, trunk = held("b:aaaa b:bbbb")
    parts = [Wanted("new", "body", [97] * 4 + [98] * 4)]
    decided = plan_splices(trunk.ledger, parts, CAN)
    assert decided
    assert (decided.ops, decided.evaluate) == ((Relabel((("new", "body", 0, 8),)),), 0)
    carry_out(backend, trunk, decided)
    assert {r.key for r in trunk.ledger.runs} == {"new"}
