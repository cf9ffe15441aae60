"""The index over resident tokens, and whether a guess is worth a try."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gemma_lsp.engine.lookup import GRAM, LONGEST, NOTHING, Found, Lookup
from gemma_lsp.engine.speculation import SIZES, Speculation
from gemma_lsp.kv.ranges import Ranges, span

NO = Ranges()


def index(tokens: list[int]) -> Lookup:
    lookup = Lookup()
    lookup.extend(tokens)
    return lookup


def test_what_followed_the_same_tokens_is_found() -> None:
    """The last token here is not in the index yet."""
    lookup = index([1, 2, 3, 4, 5, 6, 9, 1, 2])
    assert lookup.find(3, 3, NO) == Found((4, 5, 6), 3)
    assert lookup.find(4, 3, NO) == NOTHING


def test_the_longest_agreement_wins_over_the_latest() -> None:
    """Of two places that end alike, the one whose words before agree, too."""
    lookup = index([7, 1, 2, 3, 50, 0, 8, 1, 2, 3, 60, 0, 7, 1, 2])
    assert lookup.find(3, 1, NO) == Found((50,), 4)


def test_of_equal_agreement_the_latest_counts() -> None:
    """What was written last is most like what comes next."""
    lookup = index([1, 2, 3, 50, 0, 1, 2, 3, 60, 9, 1, 2])
    assert lookup.find(3, 1, NO) == Found((60,), 3)


def test_stale_text_is_not_guessed_from() -> None:
    """What is masked is not true any more."""
    lookup = index([1, 2, 3, 50, 0, 1, 2, 3, 60, 9, 1, 2])
    assert lookup.find(3, 1, span(5, 9)) == Found((50,), 3)


def test_a_text_that_repeats_itself_goes_on_into_the_present() -> None:
    """The place found may be so late that what follows it is what is being written."""
    lookup = index([5, 5, 5])
    found = lookup.find(5, 4, NO)
    assert found.agreed == GRAM
    assert found.tokens
    assert set(found.tokens) == {5}


tokens_ = st.lists(st.integers(0, 3), max_size=30)


@settings(max_examples=200)
@given(st.lists(st.tuples(tokens_, st.floats(0, 1)), max_size=6), st.integers(0, 3))
def test_after_any_rewinds_it_is_as_if_they_had_not_been(steps: list[tuple[list[int], float]], token: int) -> None:
    """Undone appends leave no trace."""
    lookup, held = Lookup(), list[int]()
    for more, keep in steps:
        lookup.extend(more)
        held += more
        held = held[: int(len(held) * keep)]
        lookup.rewind(len(held))
    assert len(lookup) == len(held)
    assert lookup.find(token, 5, NO) == index(held).find(token, 5, NO)


@given(st.lists(st.integers(0, 2), max_size=60), st.integers(0, 2))
def test_what_is_found_stands_there(held: list[int], token: int) -> None:
    """Compared with a plain search for the longest agreement among the places that the index looks at."""
    found = index(held).find(token, 1, NO)
    here = [*held, token]
    ends = [at for at in range(GRAM - 1, len(held)) if held[at - GRAM + 1 : at + 1] == here[-GRAM:]]
    assert bool(found.tokens) == bool(ends)
    if found.tokens:
        assert GRAM <= found.agreed <= LONGEST
        assert any(
            held[at - found.agreed + 1 : at + 1] == here[-found.agreed :] and here[at + 1] == found.tokens[0]
            for at in ends
        )


LONG = Found(tuple(range(100, 120)), 20)
SHORT = Found(tuple(range(100, 120)), 3)


def test_nothing_found_is_nothing_to_try() -> None:
    """And a guess is never longer than the answer may still get."""
    speculation = Speculation()
    assert speculation.worth(NOTHING, 100) == ()
    assert len(speculation.worth(LONG, 2)) <= 2
    assert speculation.worth(LONG, 0) == ()


def test_where_batches_are_cheap_long_agreements_are_guessed_far() -> None:
    """A batch of eight that costs twice as much as one token, and guesses that come true."""
    speculation = Speculation()
    for _ in range(20):
        speculation.took_one(1.0)
        for size in SIZES:
            speculation.tried(20, size - 1, size - 1, 1.0 + size / 8)
    assert len(speculation.worth(LONG, 100)) == SIZES[-1] - 1


def test_where_batches_are_dear_nothing_is_guessed() -> None:
    """A machine on which a batch costs nearly as much as its tokens one by one."""
    speculation = Speculation()
    for _ in range(20):
        speculation.took_one(1.0)
        for size in SIZES:
            speculation.tried(20, size - 1, size - 1, 0.97 * size)
    assert speculation.worth(LONG, 100) == ()


def test_where_guesses_do_not_come_true_they_end() -> None:
    """And those after a longer agreement are judged apart."""
    speculation = Speculation()
    speculation.took_one(1.0)
    for _ in range(10):
        speculation.tried(3, 3, 0, 2.0)
    assert speculation.worth(SHORT, 100) == ()
    assert speculation.worth(LONG, 100) != ()


def test_a_streak_is_a_case_of_its_own() -> None:
    """Whoever copies goes on copying, however short the agreement; and what is learnt of it is kept apart."""
    speculation = Speculation()
    speculation.took_one(1.0)
    for size, ratio in zip(SIZES, (2.3, 3.9), strict=True):
        speculation.tried(20, size - 1, size - 1, ratio, streak=20)
    assert speculation.worth(SHORT, 100) == ()
    assert len(speculation.worth(SHORT, 100, streak=20)) == SIZES[-1] - 1
    for _ in range(20):
        speculation.tried(20, 7, 0, 3.9, streak=20)
    assert speculation.worth(SHORT, 100, streak=20) == ()


def test_a_cost_is_measured_again_after_a_while() -> None:
    """What a busy machine said once is not for ever."""
    speculation = Speculation()
    speculation.took_one(1.0)
    for size in SIZES:
        speculation.tried(20, size - 1, size - 1, 50.0)
    declined = 0
    while not speculation.worth(LONG, 100):
        declined += 1
        assert declined < 1000
    assert declined > 100
