"""The plan, as a table of small cases, and as a state machine: the ledger equals the backend after anything."""

from __future__ import annotations

import re

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gemma_lsp.backends.fake import FakeBackend
from gemma_lsp.base.errors import DecodeFailed
from gemma_lsp.engine.backend import Aborted
from gemma_lsp.engine.trunk import Trunk
from gemma_lsp.kv.ledger import Ledger
from gemma_lsp.kv.plan import HIDEABLE, Capabilities, Clear, Hide, Plan, Policy, Reveal, Rewind, Wanted, plan
from gemma_lsp.kv.ranges import Ranges, span

# Segments of which a part is shown, by how that is written.
WHOLE = {"..aa": "bbaa", "bb..": "bbaa", "l..r": "lmmr", "dd..d": "ddddd", "..ddd": "ddddd", "ee...ee": "eeeeeee"}


def never() -> bool:
    return False


def wanted(text: str) -> list[Wanted]:
    """ "b:abc e:xyz" -> a body segment of three tokens and an erratum of three; "b:a..d" is "b:abcd" without "bc"."""
    regions = {"p": "preamble", "b": "body", "e": "errata", "h": "hole", "r": "request"}
    found: list[Wanted] = []
    for kind, body in (part.split(":") for part in text.split()):
        whole, at = WHOLE.get(body, body), 0
        for shown in re.findall(r"[^.]+", body):
            at = body.index(shown, at)
            found.append(Wanted(f"{kind}:{whole}", regions[kind], [ord(c) for c in shown], at))
    return found


def evaluate(trunk: Trunk, parts: list[Wanted], decided: Plan, n_slice: int = 16) -> None:
    """Carries out a plan as the engine does, one segment at a time."""
    trunk.apply(decided.ops)
    run, offset = decided.run, decided.offset
    body, head = (sum(len(w.tokens) for w in parts if w.region in r) for r in (("preamble", "body"), HIDEABLE))
    while run < len(parts):
        tokens = parts[run].tokens[offset : offset + n_slice]
        if tokens:
            part, n_hidden = [(parts[run], offset, tokens)], len(trunk.ledger.hidden)
            trunk.evaluate_parts(part, tokens, ends=(body + n_hidden, head + n_hidden), logits=True, abort=never)
        offset += len(tokens)
        if offset >= len(parts[run].tokens):
            run, offset = run + 1, 0


def held(text: str, n_swa: int = 0) -> tuple[FakeBackend, Trunk]:
    backend = FakeBackend(n_swa=n_swa)
    trunk = Trunk(backend, 0, 1, 2)
    parts = wanted(text)
    evaluate(trunk, parts, plan(trunk.ledger, parts, backend.can))
    return backend, trunk


def decide(trunk: Trunk, text: str, can: Capabilities | None = None, policy: Policy | None = None) -> Plan:
    return plan(trunk.ledger, wanted(text), can or Capabilities(), policy or Policy(slack=0))


def test_appending_costs_what_is_appended() -> None:
    """The tail grows by two tokens: nothing is removed, two are evaluated."""
    _, trunk = held("b:abcdef r:xy")
    decided = decide(trunk, "b:abcdef r:xyzw")
    assert (decided.ops, decided.reused, decided.evaluate) == ((), 8, 2)


def test_another_request_rewinds_to_the_body() -> None:
    """A different tail keeps the body and nothing else."""
    _, trunk = held("b:abcdef r:xy")
    decided = decide(trunk, "b:abcdef r:uvw")
    assert (decided.ops, decided.reused, decided.evaluate) == ((Rewind(6),), 6, 3)


def test_the_same_prompt_evaluates_its_last_token_again() -> None:
    """Logits exist only after a batch, so one token is always evaluated."""
    _, trunk = held("b:abcdef r:xy")
    assert (decide(trunk, "b:abcdef r:xy").evaluate, decide(trunk, "b:abcdef r:xy").ops) == (1, (Rewind(7),))


def test_a_chunk_that_is_no_longer_wanted_is_hidden_not_recomputed() -> None:
    """What follows the chunk stays; only the request, which must not remember it, is evaluated."""
    _, trunk = held("b:aaaa b:bbbb b:cccc b:dddd r:xy")
    decided = decide(trunk, "b:aaaa b:cccc b:dddd r:xy")
    assert decided.ops == (Rewind(16), Hide(4, 8))
    assert (decided.reused, decided.evaluate, decided.hidden) == (12, 2, 4)


def test_a_hidden_chunk_comes_back_for_nothing() -> None:
    """Revealing it costs the request and leaves the body exact."""
    backend, trunk = held("b:aaaa b:bbbb b:cccc r:xy")
    before = wanted("b:aaaa b:cccc r:xy")
    evaluate(trunk, before, plan(trunk.ledger, before, backend.can, Policy(slack=0)))
    assert trunk.ledger.exact_upto() == 8
    decided = decide(trunk, "b:aaaa b:bbbb b:cccc r:xy")
    assert decided.ops == (Rewind(12), Reveal(4, 8))
    after = wanted("b:aaaa b:bbbb b:cccc r:xy")
    evaluate(trunk, after, decided)
    assert trunk.ledger.exact_upto() == len(trunk.ledger)


def test_an_erratum_costs_itself_and_the_tail() -> None:
    """The changed chunk is hidden, its new text stands after the body."""
    _, trunk = held("b:aaaa b:bbbb b:cccc r:xy")
    decided = decide(trunk, "b:aaaa b:cccc e:BBBB r:xy")
    assert (decided.reused, decided.evaluate, decided.hidden) == (8, 6, 4)


def test_a_short_rest_is_recomputed_exactly() -> None:
    """Within the policy's slack the exact way wins over masking."""
    _, trunk = held("b:aaaa b:bbbb b:cc r:xy")
    decided = decide(trunk, "b:aaaa b:cc r:xy", policy=Policy(slack=8))
    assert (decided.ops, decided.hidden, decided.evaluate) == ((Rewind(4),), 0, 4)


def test_what_is_masked_must_leave_room() -> None:
    """Where masked cells and the new tokens do not fit together, everything behind them is read anew."""
    _, trunk = held("b:aaaa b:bbbb b:cccc r:xy")
    decided = decide(trunk, "b:aaaa b:cccc e:BBBBB r:xy", policy=Policy(slack=0, cells=16))
    assert (decided.ops, decided.evaluate) == ((Rewind(4),), 11)
    decided = decide(trunk, "b:cccc e:BBBBB r:xy", policy=Policy(slack=0, cells=16))
    assert (decided.ops, decided.evaluate) == ((Clear(),), 11)


def test_where_what_is_masked_leaves_no_room_the_body_stays() -> None:
    """Errata that are no longer told are let go, and those behind them are read again; not the repository."""
    body = "b:aaaaaaaaaaaaaaaaaaaa b:cccccccccc"
    _, trunk = held(f"{body} e:MMMMM e:NNNNNN r:q")
    decided = decide(trunk, f"{body} e:NNNNNN r:xy", policy=Policy(slack=0, cells=41))
    assert (decided.evaluate, decided.hidden) == (8, 0)
    decided = decide(trunk, f"{body} e:NNNNNN r:xy", policy=Policy(slack=0, cells=43))
    assert (decided.evaluate, decided.hidden) == (2, 5)


def test_without_the_capability_nothing_is_hidden() -> None:
    """A backend that cannot mask recomputes what follows."""
    _, trunk = held("b:aaaa b:bbbb b:cccc r:xy")
    decided = decide(trunk, "b:aaaa b:cccc r:xy", Capabilities(hide=False))
    assert (decided.ops, decided.evaluate) == ((Rewind(4),), 6)


def test_without_trim_only_appends_reuse_anything() -> None:
    """A recurrent state cannot be cut: any difference starts anew."""
    _, trunk = held("b:aaaa r:xy")
    can = Capabilities(trim=False, hide=False)
    assert decide(trunk, "b:aaaa r:xyz", can).evaluate == 1
    assert decide(trunk, "b:aaaa r:xz", can).ops == (Clear(),)


def test_typing_beside_a_hidden_last_chunk_costs_the_key() -> None:
    """The chunk being edited is the body's last; each key appends to the hole and nothing is read again."""
    backend, trunk = held("b:aaaaaaaa b:bbbbbbbb h:xx")
    for typed in ("xxy", "xxyz", "xxyzw"):
        parts = wanted(f"b:aaaaaaaa h:{typed}")
        decided = plan(trunk.ledger, parts, backend.can, Policy(slack=0))
        evaluate(trunk, parts, decided)
    assert decided.evaluate == 1


def test_moving_the_hole_inside_the_window_keeps_the_body() -> None:
    """A chunk of the last window is hidden right after the prefill, then shown again while its neighbour goes."""
    backend = FakeBackend(n_swa=12, n_slice=64)
    trunk, body = Trunk(backend, 0, 1, 2), wanted("b:aaaaaaaaaa b:bbbb b:cccc b:dddd")
    one_batch = [(part, 0, part.tokens) for part in body]
    flat = [token for part in body for token in part.tokens]
    trunk.evaluate_parts(one_batch, flat, ends=(22, 22), logits=False, abort=never)
    for shown, hole in (("b:aaaaaaaaaa b:bbbb b:dddd", "h:CC"), ("b:aaaaaaaaaa b:cccc b:dddd", "h:BB")):
        parts = wanted(f"{shown} {hole}")
        decided = plan(trunk.ledger, parts, backend.can, Policy(slack=0))
        evaluate(trunk, parts, decided)
        assert decided.evaluate == 2


def test_an_erratum_is_one_run_whatever_stood_there() -> None:
    """It shares its first tokens with the old tail and is evaluated whole, so that it can be masked whole later."""
    backend, trunk = held("b:aaaa b:bbbb h:BBxx")
    parts = wanted("b:aaaa b:bbbb e:BBBB r:q")
    evaluate(trunk, parts, plan(trunk.ledger, parts, backend.can, Policy(slack=0)))
    assert [r.key for r in trunk.ledger.runs][2] == "e:BBBB"


def test_part_of_a_chunk_is_hidden_and_comes_back() -> None:
    """Lines in the middle of a chunk go out of sight and into sight again without any evaluation of the body."""
    backend, trunk = held("b:aaaa b:lmmr b:cccc r:xy")
    decided = decide(trunk, "b:aaaa b:l..r b:cccc r:xy")
    assert decided.ops == (Rewind(12), Hide(5, 7))
    assert (decided.reused, decided.evaluate, decided.hidden) == (10, 2, 2)
    parts = wanted("b:aaaa b:l..r b:cccc e:MM r:xy")
    evaluate(trunk, parts, plan(trunk.ledger, parts, backend.can, Policy(slack=0)))
    assert trunk.ledger.exact_upto() == 7
    back = decide(trunk, "b:aaaa b:lmmr b:cccc r:xy")
    assert (back.ops, back.evaluate) == ((Rewind(12), Reveal(5, 7)), 2)


def test_a_chunk_that_was_read_in_part_is_read_anew_when_all_of_it_is_wanted() -> None:
    """What a cold start left out is not there to be shown."""
    _, trunk = held("b:aaaa b:l..r b:cccc r:xy")
    assert trunk.ledger.exact_upto() == len(trunk.ledger)
    decided = decide(trunk, "b:aaaa b:lmmr b:cccc r:xy")
    assert (decided.reused, decided.evaluate) == (5, 9)


def test_a_mask_that_costs_the_memory_of_a_chunk_is_priced() -> None:
    """A few tokens more to evaluate are not worth losing a long chunk that will be wanted back."""
    _, trunk = held("b:aaaa b:bbbbbbbbbbbbbbbb b:cc r:xy")
    assert decide(trunk, "b:aaaa b:cc r:xy", policy=Policy(slack=8)).hidden == 16


def test_an_interrupted_segment_goes_on_where_it_stopped() -> None:
    """A prefill that was preempted in the middle of a segment loses nothing of it."""
    _, trunk = held("b:aaaa")
    part = wanted("b:cccccccc")[0]
    some = part.tokens[:5]
    trunk.evaluate_parts([(part, 0, some)], some, ends=(12, 12), logits=False, abort=never)
    decided = decide(trunk, "b:aaaa b:cccccccc r:x")
    assert (decided.reused, decided.evaluate) == (9, 4)


def test_a_rewind_below_the_window_is_not_called_exact() -> None:
    """After a tail longer than the guard's cells, the body's window is still guarded and its middle is not."""
    backend, trunk = held("b:" + "a" * 40 + " r:" + "x" * 60, n_swa=8)
    assert trunk.ledger.can_rewind(40)
    assert not trunk.ledger.can_rewind(20)
    decided = decide(trunk, "b:" + "a" * 20 + " r:xy")
    assert decided.ops == (Clear(),)
    assert backend.sliding(0) | backend.sliding(1) >= set(range(33, 40))


def test_ranges_are_sets() -> None:
    """Union, difference and intersection agree with Python's sets."""
    a, b = Ranges([(0, 5), (8, 12)]), Ranges([(3, 9)])
    sets = [set(range(0, 5)) | set(range(8, 12)), set(range(3, 9))]
    for ours, theirs in ((a | b, sets[0] | sets[1]), (a - b, sets[0] - sets[1]), (a & b, sets[0] & sets[1])):
        assert {p for start, stop in ours for p in range(start, stop)} == theirs
    assert a.covers(span(8, 12))
    assert not a.covers(span(4, 6))


BODY = (["aaa"], ["bbaa", "..aa", "bb.."], ["cc"], ["ddddd", "dd..d", "..ddd"], ["eeeeeee", "ee...ee"])


class LedgerEqualsBackend(RuleBasedStateMachine):
    """Any mix of prompts, aborted and failed batches, and clearing, on a windowed cache that forgets at once."""

    n_swa = 6

    def __init__(self) -> None:
        super().__init__()
        self.backend = FakeBackend(n_swa=self.n_swa, n_slice=4)
        self.trunk = Trunk(self.backend, 0, 1, 2)
        self.last: list[Wanted] = []

    @rule(
        body=st.tuples(*(st.sampled_from(["", *forms]) for forms in BODY)).filter(any),
        errata=st.lists(st.sampled_from(["AA", "BBB", "lmmr", "l..r"]), max_size=2, unique_by=lambda e: e[0]),
        request=st.text("xyz", min_size=1, max_size=14),
        slack=st.sampled_from([0, 4, 100]),
        cells=st.sampled_from([0, 0, 12, 16, 24, 32]),
        failure=st.sampled_from([None, None, None, Aborted("cut"), DecodeFailed("refused")]),
    )
    def ask(
        self, body: tuple[str, ...], errata: list[str], request: str, slack: int, cells: int, failure: Exception | None
    ) -> None:
        text = " ".join([*(f"b:{b}" for b in body if b), *(f"e:{e}" for e in errata), f"r:{request}"])
        parts = wanted(text)
        decided = plan(self.trunk.ledger, parts, self.backend.can, Policy(slack=slack, cells=cells))
        total = sum(len(w.tokens) for w in parts)
        assert decided.reused + decided.evaluate == total
        assert decided.evaluate >= 1
        assert not cells or decided.length == 0 or decided.length + decided.evaluate <= cells
        if failure:
            self.backend.fail_next = [failure]
        try:
            evaluate(self.trunk, parts, decided, 4)
        except (Aborted, DecodeFailed):
            self.last = []
            return
        self.last = parts

    @rule()
    def clear(self) -> None:
        self.trunk.clear()
        self.last = []

    @invariant()
    def ledger_equals_backend(self) -> None:
        ledger, cells = self.trunk.ledger, self.backend.cells(0)
        visible = {p for p in range(len(ledger)) if p not in ledger.hidden}
        assert set(cells) == visible
        assert all(cells[p][0] == ledger.tokens[p] for p in visible)
        assert {p for a, b in ledger.hidden for p in range(a, b)} == set(self.backend.cells(2))
        assert [t for r in ledger.runs for t in range(r.start, r.stop)] == list(range(len(ledger)))

    @invariant()
    def what_is_said_to_be_resident_is(self) -> None:
        ledger = self.trunk.ledger
        resident = self.backend.sliding(0) | self.backend.sliding(2)
        assert {p for a, b in ledger.sliding for p in range(a, b)} <= resident

    @invariant()
    def what_is_wanted_is_what_is_seen(self) -> None:
        if self.last:
            seen = [t for _, (t, _) in sorted(self.backend.cells(0).items())]
            assert seen == [t for w in self.last for t in w.tokens]

    @invariant()
    def what_is_called_exact_equals_a_cold_start(self) -> None:
        ledger = self.trunk.ledger
        if not self.last or ledger.hidden or ledger.exact_upto() < len(ledger):
            return
        cold = FakeBackend(n_swa=self.n_swa, n_slice=4096)
        for position, token in enumerate(ledger.tokens):
            cold.evaluate(0, position, [token], False, never)
        assert cold.cells(0) == self.backend.cells(0)


class LedgerEqualsBackendFull(LedgerEqualsBackend):
    """The same on plain attention."""

    n_swa = 0


LedgerEqualsBackend.TestCase.settings = settings(max_examples=150, stateful_step_count=12, deadline=None)
LedgerEqualsBackendFull.TestCase.settings = settings(max_examples=60, stateful_step_count=12, deadline=None)
TestWindowed = LedgerEqualsBackend.TestCase
TestFull = LedgerEqualsBackendFull.TestCase


def test_a_segment_split_by_a_mask_is_two_runs() -> None:
    """A segment that was evaluated under two masks must not be taken for one that was evaluated under one."""
    ledger = Ledger(0)
    ledger.append("f", "body", [9])
    ledger.append("g", "body", [1, 2])
    ledger.append("g", "body", [3], 2)
    ledger.hide(0, 1)
    ledger.append("g", "body", [4], 3)
    assert [(r.key, r.offset, r.start, r.stop) for r in ledger.runs] == [("f", 0, 0, 1), ("g", 0, 1, 4), ("g", 3, 4, 5)]
    assert ledger.exact_upto() == 1
