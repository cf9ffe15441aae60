"""Thoughts, markers and fences, however the stream is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemma_lsp.generate.repetition import loop_size, without_loop
from gemma_lsp.generate.stream import AnswerParser, fence_is_closed, fenced_code, without_fence

PARTS = st.sampled_from(
    [
        "a < b",
        "x",
        "\n",
        "<",
        "<|",
        "|>",
        "<b>",
        "thought",
        "<|channel>thought\n",
        "<channel|>",
        "<think>",
        "</think>",
        "<turn|>",
        "<|turn>",
        "<|im_start|>",
        "<|tool_x|>",
        "é",
        "### ",
    ]
)

EXAMPLE = '''def add(a, b):
    """Adds.

    ```python
    add(1, 2)
    ```

```
flush left
```
    """
    return a + b
'''


def run(text: str, cuts: list[int] | None = None) -> tuple[str, str]:
    parser = AnswerParser()
    answer = thinking = ""
    at = 0
    pieces = []
    for cut in [*sorted(cuts or []), len(text)]:
        cut = min(cut, len(text))
        pieces += parser.feed(text[at:cut])
        at = cut
    pieces += parser.finish()
    for piece in pieces:
        if piece.thinking:
            thinking += piece.text
        else:
            answer += piece.text
    return answer, thinking


@given(st.lists(PARTS, max_size=12).map("".join), st.lists(st.integers(0, 120), max_size=40))
def test_where_the_stream_is_cut_does_not_matter(text: str, cuts: list[int]) -> None:
    """Piece by piece or at once, the same answer and the same thoughts come out."""
    assert run(text, cuts) == run(text)


@given(st.lists(PARTS, max_size=12).map("".join))
def test_no_marker_gets_out(text: str) -> None:
    """Neither the answer nor the thoughts show one."""
    for part in run(text, list(range(len(text)))):
        for marker in ("<|channel>", "<channel|>", "<think>", "</think>", "<turn|>", "<|turn>", "<|im_start|>"):
            assert marker not in part


@pytest.mark.parametrize(
    ("text", "answer", "thinking"),
    [
        ("<|channel>thought\nhm <channel|>yes<turn|>no", "yes", "hm "),
        ("<think>\nhm</think>\n\nyes", "\n\nyes", "hm"),
        ("yes", "yes", ""),
        ("<|channel>thought\n<channel|>yes", "yes", ""),
        ("a <|tool_start|>b", "a b", ""),
        ("if a < b and c <d:", "if a < b and c <d:", ""),
        ("x <|im_e", "x ", ""),
        ("a<b", "a<b", ""),
        ("<eos>", "", ""),
    ],
)
def test_an_answer_is_sorted(text: str, answer: str, thinking: str) -> None:
    """Thoughts apart, markers gone, nothing after the end of the turn; comparisons stay."""
    assert run(text) == (answer, thinking)


def test_half_a_marker_waits() -> None:
    """What may become a marker is held back until it cannot any more."""
    parser = AnswerParser()
    assert [piece.text for piece in parser.feed("sum(<|im")] == ["sum("]
    assert parser.feed("_end") == []
    assert parser.feed("|>more") == []
    assert parser.ended


def test_a_model_whose_template_opens_the_thoughts() -> None:
    """The first words are thoughts although no marker came."""
    parser = AnswerParser(thinking=True)
    assert [piece.thinking for piece in (*parser.feed("hm</think>yes"), *parser.finish())] == [True, False]


@pytest.mark.parametrize(
    ("code", "inside"),
    [
        ("```python\nx = 1\n```\nThat is it.", "x = 1\n"),
        ("x = 1\n```\nmore", "x = 1\n"),
        ("x = 1", "x = 1"),
        ("x = '```'", "x = '```'"),
        ("```python\n    x = 1\n    ```\nThat is it.", "    x = 1\n"),
        (EXAMPLE, EXAMPLE),
        (f"```python\n{EXAMPLE}```\nThat is it.", EXAMPLE),
        (f"````python\n{EXAMPLE}````", EXAMPLE),
    ],
)
def test_a_fence_is_taken_off(code: str, inside: str) -> None:
    """Only one that stands at the start of a line, outside of the code's own strings."""
    assert without_fence(code) == inside


@pytest.mark.parametrize(
    ("before", "code", "inside"),
    [
        ('def f():\n    """One.\n\n    ', "So:\n    ```\n    f()\n    ```\n", "So:\n    ```\n    f()\n    ```\n"),
        ('def f():\n    """One.\n    ', '"""\n    return 1\n```\nDone.', '"""\n    return 1\n'),
        ("x = ", "```", "```"),
        ("x = 1\n", "```\nDone.", ""),
    ],
)
def test_a_fence_in_what_goes_on_with_code(before: str, code: str, inside: str) -> None:
    """Whether it stands in a string is said by what stands before."""
    assert "".join(without_fence(code, before).split("Done.")) == inside


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Here's the code: ```python\nx = 1\n```\nBetter.", "x = 1\n"),
        (f"Here's the code:\n\n```python\n{EXAMPLE}```\nIt isn't long.", EXAMPLE),
        (EXAMPLE, EXAMPLE),
        ('x = """```python\ny\n```\n"""\n', 'x = """```python\ny\n```\n"""\n'),
        ("no code", "no code"),
    ],
)
def test_the_code_of_an_answer(text: str, code: str) -> None:
    """What stands in its first fence; one in a string of the code is none."""
    assert fenced_code(text) == code


@pytest.mark.parametrize(
    ("text", "closed"),
    [
        ("Well.\n```python\nx = 1\n", False),
        ("Well.\n```python\nx = 1\n```", True),
        (f"```python\n{EXAMPLE}", False),
        (f"```python\n{EXAMPLE}```", True),
        ("x = 1\n", False),
    ],
)
def test_an_answer_is_over_with_its_fence(text: str, closed: bool) -> None:
    """Not with one in a docstring."""
    assert fence_is_closed(text) is closed


@given(st.text(min_size=1, max_size=20).filter(str.strip), st.text(max_size=20))
def test_a_loop_is_noticed_and_cut(unit: str, start: str) -> None:
    """Whatever is said often enough is found, and what is left says it no more than once again."""
    text = start + unit * 30
    assert loop_size(text) > 0
    assert start.rstrip().startswith(without_loop(text)) or text.startswith(without_loop(text))
    assert len(without_loop(text)) <= len(start) + 2 * len(unit)


@pytest.mark.parametrize("text", ["", "....", "a, b, c, d", "x = 1\nx = 2\n", "no no no"])
def test_ordinary_repetition_is_no_loop(text: str) -> None:
    """Code repeats itself a little."""
    assert loop_size(text) == 0
