"""Texts, spans and position encodings, against models that are too simple to be wrong."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemma_lsp.text import Edit, Position, PositionEncoding, Span, Text, column_from_units, units_from_column

CONTENT = st.text(alphabet=st.sampled_from("ab \n\tü€😀\u2028\x0b\x85é"), max_size=60)
RAW = st.text(alphabet=st.sampled_from("ab\r\nü😀\ud83d\ude00"), max_size=40)
LINE = st.text(alphabet=st.sampled_from("aü€😀\U0010ffff\u0301"), max_size=20)
CODECS = {
    PositionEncoding.UTF8: ("utf-8", 1),
    PositionEncoding.UTF16: ("utf-16-le", 2),
    PositionEncoding.UTF32: ("utf-32-le", 4),
}


def units_by_codec(line: str, encoding: PositionEncoding) -> int:
    codec, width = CODECS[encoding]
    return len(line.encode(codec)) // width


@settings(deadline=None)
@given(CONTENT)
def test_lines_are_what_lies_between_line_feeds(content: str) -> None:
    """Only '\\n' ends a line: no form feed, no U+2028, no U+0085."""
    text = Text(content)
    assert [text.line(line) for line in range(text.n_lines)] == content.split("\n")


@settings(deadline=None)
@given(CONTENT, st.integers(0, 70))
def test_offset_and_position_are_inverse(content: str, offset: int) -> None:
    """A position is the number of line feeds before it and what follows the last of them."""
    text, offset = Text(content), min(offset, len(content))
    before = content[:offset]
    assert text.position(offset) == Position(before.count("\n"), len(before) - before.rfind("\n") - 1)
    assert text.offset(text.position(offset)) == offset


@settings(deadline=None)
@given(CONTENT, st.integers(-3, 80), st.integers(-3, 80))
def test_every_position_is_clamped_into_its_line(content: str, line: int, column: int) -> None:
    """A column past a line's end is the end of that line; a line past the end is the end of the text."""
    text = Text(content)
    lines = content.split("\n")
    at = text.position(text.offset(Position(line, column)))
    if line >= len(lines):
        assert text.offset(at) == len(content)
    else:
        assert at.line == max(0, line)
        assert at.column == min(max(0, column), len(lines[at.line]))


@settings(deadline=None)
@given(RAW)
def test_normalised_text_has_line_feeds_and_no_lone_surrogate(raw: str) -> None:
    """Halves that stand together become their code point, others U+FFFD; the lines stay what they were."""
    content = Text.normalised(raw).content
    assert "\r" not in content
    content.encode("utf-8")
    assert content.count("\n") == raw.replace("\r\n", "\n").replace("\r", "\n").count("\n")


@settings(deadline=None)
@given(CONTENT, st.lists(st.tuples(st.integers(0, 60), st.integers(0, 5), CONTENT), max_size=4))
def test_edits_all_refer_to_the_text_before(content: str, drafts: list[tuple[int, int, str]]) -> None:
    """Several edits at once come out as if each place had been edited on its own."""
    text, end, edits, expected = Text(content), 0, [], []
    for skip, length, new in drafts:
        start = min(len(content), end + skip)
        stop = min(len(content), start + length)
        expected += [content[end:start], new]
        edits.append(Edit(Span(start, stop), new))
        end = stop
    assert text.with_edits(edits).content == "".join(expected) + content[end:]


@settings(deadline=None)
@given(CONTENT, st.lists(st.tuples(st.integers(0, 70), st.integers(0, 20), CONTENT, st.booleans()), max_size=6))
def test_an_edited_text_is_as_if_it_had_come_from_nowhere(
    content: str, edits: list[tuple[int, int, str, bool]]
) -> None:
    """Its lines, and what it says to have of the texts before it."""
    text = known = Text(content)
    for start, length, new, through in edits:
        before = text
        start = min(start, len(text.content))
        end = min(start + length, len(text.content))
        assert text.n_lines == len(text.content.split("\n"))
        text = text.replaced(start, end, new, through=through)
        known = known if through else before
        assert text.content == before.content[:start] + new + before.content[end:]
        assert list(text.line_starts) == list(Text(text.content).line_starts)
        assert [text.line(n) for n in range(text.n_lines)] == text.content.split("\n")
        assert [text.line_starts[n - text.n_lines] for n in range(text.n_lines)] == list(text.line_starts)
        for earlier in (known.content, content):
            head, tail = text.shared_with(earlier)
            assert head + tail <= min(len(earlier), len(text.content))
            assert text.content[:head] == earlier[:head]
            assert text.content[len(text.content) - tail :] == earlier[len(earlier) - tail :]


@settings(deadline=None)
@given(LINE, st.sampled_from(PositionEncoding))
def test_units_count_as_the_codec_does(line: str, encoding: PositionEncoding) -> None:
    """The units before each column are those of the encoded text, and lead back to the column."""
    for column in range(len(line) + 1):
        units = units_from_column(line, column, encoding)
        assert units == units_by_codec(line[:column], encoding)
        assert column_from_units(line, units, encoding) == column


@settings(deadline=None)
@given(LINE, st.integers(-2, 90), st.sampled_from(PositionEncoding))
def test_any_unit_is_rounded_down_to_a_column(line: str, units: int, encoding: PositionEncoding) -> None:
    """A unit inside a code point is its beginning, one past the line's end the end."""
    column = column_from_units(line, units, encoding)
    assert units_by_codec(line[:column], encoding) <= max(0, units)
    if column < len(line):
        assert units_by_codec(line[: column + 1], encoding) > max(0, units)


def test_a_span_runs_forward() -> None:
    """A span that ends before it starts cannot be made."""
    with pytest.raises(ValueError, match="not a span"):
        Span(2, 1)
    assert Span(1, 3).contains(1)
    assert not Span(1, 3).contains(3)
    assert Span(1, 3).touches(Span(3, 4))
    assert not Span(1, 3).touches(Span(4, 5))


def test_equal_texts_share_their_digest() -> None:
    """Content alone decides."""
    assert Text("a").digest == Text("a").digest != Text("b").digest
    assert Text("a") == Text("a")
    assert len({Text("a"), Text("a"), Text("b")}) == 2
