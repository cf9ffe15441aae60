"""A mapping that differs from another in few values says what a copy of all would say."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemma_lsp.workspace import patched as module
from gemma_lsp.workspace.patched import differing, patched

KEYS = st.sampled_from("abcdef")


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that it comes to copies, too."""
    monkeypatch.setattr(module, "_MANY", 3)


@given(st.dictionaries(KEYS, st.integers()), st.lists(st.dictionaries(KEYS, st.integers(), max_size=2), max_size=6))
def test_other_values_one_after_the_other(first: dict[str, int], changes: list[dict[str, int]]) -> None:
    """Keys in their order; new ones, and too many others, are for the caller to copy."""
    known: Mapping[str, int] = first
    history: list[tuple[Mapping[str, int], dict[str, int]]] = [(first, dict(first))]
    for change in changes:
        expected = {**known, **change}
        after = patched(known, change)
        if after is None:
            after = expected
        known = after
        assert list(known.items()) == list(expected.items())
        assert (len(known), list(known), known.keys()) == (len(expected), list(expected), expected.keys())
        assert "never" not in known
        for earlier, meant in history:
            found = differing(earlier, known)
            assert {key for key in {*meant, *expected} if meant.get(key) != expected.get(key)} <= found
            assert all(earlier.get(key) is not known.get(key) for key in found)
        history.append((known, expected))


def test_a_new_key_and_many_values_ask_for_a_copy() -> None:
    """Nothing is lost by that: None says it."""
    base = dict.fromkeys("abcdef", 0)
    assert patched(base, {"new": 1}) is None
    assert patched(base, dict.fromkeys("abcd", 1)) is None
    some = patched(base, {"a": 1})
    assert some is not None
    assert (some["a"], some["b"], differing(base, some), differing(some, some)) == (1, 0, {"a"}, set())
