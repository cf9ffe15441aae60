"""What a repository says that comes next: where it is found, how far it is believed, how it joins the model's word."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemma_lsp.engine.ngrams import LONGEST, ORDER, NgramIndex
from gemma_lsp.engine.recall import Expected, Recall, chance_of, most_probable

NOTHING = NgramIndex({})
TEXTS = st.dictionaries(st.sampled_from("abcd"), st.lists(st.integers(0, 4), max_size=30), max_size=4)


def expected(tokens: dict[int, float]) -> Expected:
    return Expected(np.array(list(tokens), dtype=np.int32), np.array(list(tokens.values())))


def guess(index: NgramIndex, last: list[int], n: int) -> tuple[list[int], int]:
    return index.after(index.places(last), n)


def test_places_are_told_with_what_follows_and_how_much_agrees() -> None:
    """At least three tokens agree, and none of another file does."""
    index = NgramIndex({"a": [9, 1, 2, 3, 4], "b": [8, 1, 2, 3, 5, 1, 2, 3]})
    places = index.places([7, 8, 1, 2, 3])
    assert dict(zip(places.following.tolist(), places.agreed.tolist(), strict=True)) == {4: 3, 5: 4}
    assert len(index) == 13
    assert not len(index.places([2, 3]).agreed)
    assert not len(NOTHING.places([1, 2, 3]).agreed)


def test_files_that_read_otherwise_now_are_left_out() -> None:
    """What a file no longer says is not remembered, neither as a place nor as a guess."""
    index = NgramIndex({"a": [1, 2, 3, 4], "b": [1, 2, 3, 5]})
    assert index.without({"b"}).places([1, 2, 3]).following.tolist() == [4]
    assert guess(index.without({"b"}), [1, 2, 3], 4) == ([4], 3)
    assert guess(index.without({"a", "b"}), [1, 2, 3], 4) == ([], 0)


def test_a_guess_goes_on_from_the_place_that_agrees_longest() -> None:
    """Up to the end of its file; of equal places it is the last."""
    index = NgramIndex({"a": [6, 1, 2, 3, 4, 4], "b": [7, 1, 2, 3, 5, 5], "c": [7, 1, 2, 3, 0]})
    assert guess(index, [6, 1, 2, 3], 8) == ([4, 4], 4)
    assert guess(index, [7, 1, 2, 3], 1) == ([0], 4)


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.lists(st.integers(0, 4), max_size=LONGEST + 4), st.sets(st.sampled_from("abcd")))
def test_places_are_those_that_a_search_finds(texts: dict[str, list[int]], last: list[int], without: set[str]) -> None:
    """Against the plain way to find them."""
    found = []
    for name, tokens in texts.items():
        for end in range(ORDER, len(tokens) if name not in without and len(last) >= ORDER else 0):
            most = min(end, len(last), LONGEST)
            agreed = next((n for n in range(most) if tokens[end - 1 - n] != last[-1 - n]), most)
            found += [(tokens[end], agreed)] if agreed >= ORDER else []
    places = NgramIndex(texts).without(without).places(last)
    assert sorted(zip(places.following.tolist(), places.agreed.tolist(), strict=True)) == sorted(found)


def test_what_always_followed_is_believed_more_than_what_followed_once() -> None:
    """And a longer agreement more than a shorter one; all of it is less than certain."""
    often = Recall([1, 2, 3], NOTHING, NgramIndex({f"{n}": [1, 2, 3, 4] for n in range(5)}))
    mixed = Recall([1, 2, 3], NOTHING, NgramIndex({f"{n}": [1, 2, 3, n % 2] for n in range(4)}))
    longer = Recall([5, 6, 7, 1, 2, 3], NOTHING, NgramIndex({f"{n}": [5, 6, 7, 1, 2, 3, 4] for n in range(5)}))
    beliefs = [recall.expected(()) for recall in (mixed, often, longer)]
    sums = [belief.chances.max() for belief in beliefs if belief is not None]
    assert 0 < sums[0] < sums[1] < sums[2] < 1


def test_the_file_itself_counts_as_it_is_now() -> None:
    """Its own text is an index of its own, and the answer so far is part of what must agree."""
    recall = Recall([1, 2], NgramIndex({"before": [1, 2, 3, 4]}), NOTHING)
    assert recall.expected(()) is None
    said = recall.expected([3])
    assert said is not None
    assert said.tokens.tolist() == [4]
    assert recall.find([3], 2).tokens == (4,)


def test_a_healed_end_is_taken_back() -> None:
    """The bytes that the answer begins with are not what it goes on from; half a token cannot be taken back."""
    pieces = {1: b"a", 2: b"bc", 3: b""}
    recall = Recall([1, 2, 2], NOTHING, NOTHING)
    shorter = recall.backed_up(b"bcbc", pieces.__getitem__)
    assert shorter is not None
    assert shorter.before == [1]
    assert recall.backed_up(b"c", pieces.__getitem__) is None
    assert Recall([3], NOTHING, NOTHING).backed_up(b"a", pieces.__getitem__) is None


def test_a_healed_end_is_not_what_is_expected_there() -> None:
    """It stands at the cursor itself, where more agrees than anywhere else; what follows elsewhere counts."""
    pieces = {n: b"%d" % n for n in range(10)}
    before = [5, 1, 2, 3, 4, 6, 1, 2, 3, 7]
    recall = Recall(before, NgramIndex({"before": before, "behind": [8, 1, 2, 3, 7]}), NOTHING).backed_up(
        b"7", pieces.__getitem__
    )
    assert recall is not None
    said = recall.expected(())
    assert said is not None
    assert dict(zip(said.tokens.tolist(), said.chances > 0, strict=True)) == {4: True, 7: True}
    assert recall.own.places([6, 1, 2, 3]).agreed.tolist() == [3, 3]
    assert recall.find((), 1).agreed == 3


def test_both_say_together_what_is_most_probable() -> None:
    """A model in doubt is decided by the repository; one that is sure, or may not say it, is not."""
    doubtful, sure = np.log(np.array([0.4, 0.35, 0.25], np.float32)), np.log(np.array([0.98, 0.01, 0.01], np.float32))
    said = expected({1: 0.2, 2: 0.1})
    assert most_probable(doubtful) == 0
    assert most_probable(doubtful, said) == 1
    assert most_probable(sure, said) == 0
    assert most_probable(doubtful, said, np.array([0, 2], dtype=np.int32)) == 0
    assert most_probable(doubtful, expected({2: 0.5}), np.array([0, 2], dtype=np.int32)) == 2


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.floats(-20, 20, width=32), min_size=5, max_size=5),
    st.dictionaries(st.integers(0, 4), st.floats(0.001, 0.19), max_size=5),
    st.none() | st.sets(st.integers(0, 4), min_size=1).map(sorted),
)
def test_the_most_probable_token_is_that_of_the_mixture(
    logits: list[float], said: dict[int, float], allowed: list[int] | None
) -> None:
    """Against the mixture written out; the chances of what is allowed add up to one."""
    row = np.array(logits, dtype=np.float32)
    own = np.exp(row.astype(float) - row.max())
    whole = (1 - sum(said.values())) * own / own.sum() + np.array([said.get(n, 0.0) for n in range(5)])
    among = allowed or range(5)
    only = None if allowed is None else np.array(allowed, dtype=np.int32)
    mixture = expected(said) if said else None
    token = most_probable(row, mixture, only)
    assert token in among
    assert whole[token] == pytest.approx(max(whole[n] for n in among), rel=1e-4)
    total = sum(whole[n] for n in among)
    for n in among:
        assert chance_of(n, row, mixture, only) == pytest.approx(whole[n] / total, rel=1e-3, abs=1e-9)
