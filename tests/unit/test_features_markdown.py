"""A model's Markdown is untrusted; what is made of it here is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemma_lsp.features.citations import find_line
from gemma_lsp.features.markdown import code, escaped, link, plain, sanitised

TEXTS = st.lists(
    st.sampled_from(
        [
            "[a](b)",
            "![",
            "](",
            "<img>",
            "<",
            "`",
            "``",
            "```",
            "~~~",
            "\n",
            " ",
            "x",
            "[a]: b",
            "[a][b]",
            "    ",
            "- ",
            ">",
        ]
    ),
    max_size=14,
).map("".join)


@pytest.mark.parametrize(
    ("markdown", "safe"),
    [
        ("[go](command:evil)", "go"),
        ("[go](https://example.org)", "go"),
        ("![x](https://example.org/p.png)", "x"),
        ("[go][1]\n\n[1]: command:evil", "go\n\n"),
        ("> [1]: command:evil", ""),
        ("<a href='x'>y</a>", "&lt;a href='x'>y&lt;/a>"),
        ("`a < b` and a < b", "`a < b` and a &lt; b"),
        ("``a ` <b>``", "``a ` <b>``"),
        ("```python\na < b\n```\n<b>", "```python\na < b\n```\n&lt;b>"),
        ("```\nnot closed <b>", "```\nnot closed <b>\n```"),
        ("- a\n   ```\n<b>", "- a\n   ```\n&lt;b>"),
        ("~~~ <b>\nx\n~~~", "~~~b\nx\n~~~"),
        ("**bold** _it_ # no", "**bold** _it_ # no"),
        ("a\x1b[31mb\u202ec", "a[31mbc"),
    ],
)
def test_sanitised(markdown: str, safe: str) -> None:
    """Words and code stay; links, images, HTML and invisible marks go."""
    assert sanitised(markdown) == safe


@given(TEXTS)
def test_no_link_and_no_tag_is_left_outside_code(markdown: str) -> None:
    """Judged line by line, with the fences and code spans taken out the simplest way."""
    fenced = ""
    for line in sanitised(markdown).split("\n"):
        mark = next((m for m in ("```", "~~~") if line.startswith(m)), "")
        if not fenced and "`" not in line:
            assert "](" not in line
            assert "<" not in line
        if mark:
            fenced = "" if fenced else mark


@given(TEXTS)
def test_a_fence_is_never_left_open(markdown: str) -> None:
    """What is appended to the document afterwards is not swallowed."""
    safe = sanitised(markdown)
    assert sanitised(safe + "\n<b>").endswith("&lt;b>")


@given(st.text(max_size=30))
def test_text_of_our_own_is_shown_as_it_is(text: str) -> None:
    """A path or a diagnostic with Markdown in it makes no link."""
    assert "](" not in escaped(text).replace("\\]", "")
    assert "\n" not in code(text)
    assert plain(plain(text)) == plain(text)


def test_a_link_goes_to_the_line() -> None:
    """With the workspace's URI in front where there is one."""
    assert link("a b/c.py", 3, "file:///w/") == "[a b/c.py:3](file:///w/a%20b/c.py#L3)"


@pytest.mark.parametrize(
    ("quote", "line"),
    [
        ("return total", 2),
        ("    return   total", 2),
        ("3 | return total", 2),
        ("def f(x):", 0),
        ("turn tot", 2),
        ("x", None),
        ("gone()", None),
    ],
)
def test_a_quote_is_found(quote: str, line: int | None) -> None:
    """By its words, not by its spaces; too short a quote shows nothing."""
    assert find_line(quote, "def f(x):\n    total = x\n    return total\n") == line
