"""Each filter alone: text around a cursor, a completion, what is left of it or why it is dropped."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemma_lsp.generate import filters
from gemma_lsp.generate.filters import Around, Dropped, Filter, run_filters
from gemma_lsp.syntax.parse import parse
from gemma_lsp.text import Text


def parses(content: str) -> bool:
    return not parse("a.py", Text(content)).error_spans


def around(code: str) -> Around:
    before, _, after = code.partition("$0")
    return Around(before=before, after=after, parses=parses)


def outcome(accept: Filter, code: str, text: str) -> str:
    kept = accept(text, around(code))
    return f"dropped: {kept.reason}" if isinstance(kept, Dropped) else kept


@pytest.mark.parametrize(
    ("accept", "code", "text", "expected"),
    [
        (filters.no_markers, "x = $0", "1<|endoftext|>2", "1"),
        (filters.no_markers, "x = $0", "<think>hm</think>1", "1"),
        (filters.no_markers, "x = $0", "1\n```\nDone.", "1\n"),
        (filters.no_frame, "x = $0", "1\n### file: b.py\ny = 2", "1"),
        (filters.no_frame, "x = $0", "1  # one", "1  # one"),
        (filters.no_frame, "$0", "\n### request\nContinue.", ""),
        (filters.no_frame, "$0", "### requests that wait\nqueue = []", "### requests that wait\nqueue = []"),
        (filters.no_loop, "$0", "a\na\na\nb", "a"),
        (filters.no_loop, "$0", "a\na\nb", "a\na\nb"),
        (filters.no_loop, "x = [$0", "1, " * 20, "dropped: repetition"),
        (filters.no_trailing_space, "$0", "a  \n\n", "a"),
        (filters.not_the_suffix, "$0\nx = 1\ny = 2\n", "z = 0\nx = 1\ny = 2", "z = 0"),
        (filters.not_the_suffix, "$0\nx = 1\n", "x = 1", "dropped: stands below"),
        (filters.not_the_suffix, "x = $0\nx = 1\n", "1", "dropped: stands below"),
        (filters.not_the_suffix, "$0\nfirst(one)\nsecond(two)\n", "first(one)\nsecond(too)", "dropped: stands below"),
        (filters.not_the_suffix, "$0\ntotal_b += 1\n", "total_a += 1", "total_a += 1"),
        (filters.not_the_suffix, "a($0\n)\n", "b(\n)", "b(\n)"),
        (filters.not_the_rest_of_the_line, "f($0)", "a)", "a"),
        (filters.not_the_rest_of_the_line, "f($0)", "g(a)", "g(a)"),
        (filters.not_the_rest_of_the_line, "f($0))", "g(a)))", "g(a)"),
        (filters.not_the_rest_of_the_line, "f($0):", "a):", "a"),
        (filters.not_the_rest_of_the_line, 'f("$0")', 'a")', "a"),
        (filters.not_the_rest_of_the_line, "x = $0 + offset", "base + offset", "base"),
        (filters.not_the_rest_of_the_line, 'go(f"total: {$0 cents")', 'price(a)}")', "price(a)}"),
        (filters.not_the_rest_of_the_line, "go($0 + b)", "f(a)", "f(a)"),
        (filters.not_the_rest_of_the_line, 'x = $0 + "b"', '"a"', '"a"'),
        (filters.not_the_rest_of_the_line, "x = $0s", "cats", "cats"),
        (filters.not_the_rest_of_the_line, "x = $0 + b", "a + b", "a"),
        (filters.not_the_rest_of_the_line, "x = $0 + b", "a", "a"),
        (filters.not_the_rest_of_the_line, "x = $0 + 1", "y + 1", "y"),
        (filters.not_the_rest_of_the_line, "return $0 if a", "b if a", "b"),
        (filters.not_the_rest_of_the_line, "go($0, b)", "f(a, b)", "f(a, b)"),
        (filters.not_the_rest_of_the_line, "x = $0b", "a + b", "a +"),
        (filters.no_second_closer, "x = [$0\n]\n", "\n    1,\n]", "\n    1,"),
        (filters.no_second_closer, "x = $0\n]\n", "[\n    1,\n]", "[\n    1,\n]"),
        (filters.not_the_line_above, "go(1)\ngo($0", "1)", "dropped: repeats the line above"),
        (filters.not_the_line_above, "    )\n    $0", ")", ")"),
        (filters.indented_below_its_header, "if a:$0", "\nb()", "dropped: wrong indentation"),
        (filters.indented_below_its_header, "    if a:$0", "\n        b()", "\n        b()"),
        (filters.indented_below_its_header, "def f():\n    if a:$0", "\n\t\tb()", "dropped: wrong indentation"),
        (filters.indented_below_its_header, "if a:$0", " b()", " b()"),
        (filters.indented_below_its_header, "if a:\n\tb()\nif c:$0", "\n    d()", "dropped: wrong indentation"),
        (filters.indented_below_its_header, "if a:\n\tif c:$0", "\n    d()", "dropped: wrong indentation"),
        (filters.indented_below_its_header, "if a:\n\tif c:$0", "\n\t    d()", "dropped: wrong indentation"),
        (filters.indented_below_its_header, "if a:\n\tif c:$0", "\n\t\td()", "\n\t\td()"),
        (filters.indented_below_its_header, "if a:$0", "\n\tb()", "\n\tb()"),
        (filters.no_mixed_indentation, "if a:\n\tb()\n$0", "    c()", "dropped: wrong indentation"),
        (filters.no_mixed_indentation, "if a:\n\t$0", "b()\n        c()", "dropped: wrong indentation"),
        (filters.no_mixed_indentation, "if a:\n\t$0", "b(\n        c)\n\td()", "b(\n        c)\n\td()"),
        (filters.no_mixed_indentation, "if a:\n\tb()\n$0", "\tc()\nd()", "\tc()\nd()"),
        (filters.no_mixed_indentation, "if a:\n    b()\n$0", "  c()", "  c()"),
        (filters.not_trivial, "$0", "  \n", "dropped: empty"),
        (filters.not_trivial, "f($0", "))", "dropped: trivial"),
        (filters.not_trivial, "f($0", "_", "dropped: trivial"),
        (filters.not_trivial, "f($0", ")", "dropped: trivial"),
        (filters.not_trivial, "x = {\n    1: 2,\n$0\ny = 3\n", "}", "}"),
        (filters.not_trivial, "x = {\n    1: 2,\n$0\ny = 3\n", ")", "dropped: trivial"),
        (filters.not_trivial, "x = {\n    1: 2,\n$0\n}\n", "}", "dropped: trivial"),
        (filters.not_trivial, "x: list[int] = $0", "[]", "[]"),
        (filters.not_trivial, "return$0", " {}", " {}"),
        (filters.not_trivial, "f(a, $0", "'')", "'')"),
        (filters.not_trivial, "def f():$0", " ...", " ..."),
        (filters.not_trivial, "f$0", "()", "dropped: trivial"),
        (filters.not_trivial, "# a list, $0", "...", "dropped: trivial"),
        (filters.not_trivial, 'x = "so: $0', "...", "dropped: trivial"),
        (filters.no_closer_of_nothing, "x = a.$0\n", "size)", "size)"),
        (filters.no_closer_of_nothing, "x = a.s$0\n", "ize)", "ize"),
        (filters.no_closer_of_nothing, "x = a.s$0\n", "ize(b))]", "ize(b)"),
        (filters.no_closer_of_nothing, "x = a.s$0\n", "ize(b)", "ize(b)"),
        (filters.no_closer_of_nothing, "x = a.s$0\n", "ize(b", "ize(b"),
        (filters.no_closer_of_nothing, "x = a.s$0\n", ")", ")"),
        (filters.no_closer_of_nothing, "x = a.s$0\n", "ize = = )", "ize = = )"),
        (filters.no_closer_of_nothing, "x = f(a.s$0)\n", "ize)", "ize"),
        (filters.no_closer_of_nothing, "x = f(a.s$0\n", "ize)", "ize)"),
        (filters.still_parses, "x = 1\n$0", "y = = 2", "dropped: does not parse"),
        (filters.still_parses, "x = 1\n$0", "y = 2\nz = = 3", "y = 2"),
        (filters.still_parses, "x = 1\n$0", "for y in x:", "for y in x:"),
        (filters.still_parses, "for y in x:\n$0\n        go()\n", "    if y:", "    if y:"),
        (filters.still_parses, "for y in x:\n$0\n    go()\n", "    if y:", "    if y:"),
        (filters.still_parses, "x = 1\n$0", "go(x, [1", "go(x, [1"),
        (filters.still_parses, "x = 1\n$0", 'y = "("', 'y = "("'),
        (filters.still_parses, "x = ((\n$0", "= = =", "= = ="),
        (filters.still_parses, "x = f(g(a$0))\n", ", b))\n\n\ndef h():\n    pass", ", b"),
    ],
)
def test_filter(accept: Filter, code: str, text: str, expected: str) -> None:
    """The name of the filter says what it does."""
    assert outcome(accept, code, text) == expected


@given(st.text(alphabet="ab(): \n`<|x>=", max_size=60), st.text(alphabet="ab(): \n", max_size=30))
def test_filters_only_shorten(text: str, code: str) -> None:
    """What is shown was said by the model; markers aside, it is where the answer begins."""
    at = Around(before=code, after=code, parses=lambda content: True)
    kept = run_filters(text, at, [f for f in filters.ALL if f is not filters.no_markers])
    assert isinstance(kept, Dropped) or text.startswith(kept)


def test_the_first_reason_ends_it() -> None:
    """Later filters are not asked."""

    def never(text: str, at: Around) -> str:
        raise AssertionError(text)

    assert run_filters("  ", around("$0"), [filters.not_trivial, never]) == Dropped("empty")


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        ("x = a.size\nx = a.s$0\n", "ize)", "dropped: repeats the line above"),
        ("x = a.s$0\nx = a.size\n", "ize)", "dropped: stands below"),
        ("x = f(a.s$0)\n", "ize))", "ize"),
        ("x = f(a$0, b)\n", ", b)", "dropped: empty"),
    ],
)
def test_what_is_left_without_a_closer_is_looked_at_by_all(code: str, text: str, expected: str) -> None:
    """It may be what stands there anyway."""
    kept = run_filters(text, around(code))
    assert (f"dropped: {kept.reason}" if isinstance(kept, Dropped) else kept) == expected
