"""A model's Markdown is untrusted; what is made of it here is not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from gemma_lsp.features.citations import Shown, find_lines, look_up
from gemma_lsp.features.markdown import code, escaped, link, plain, sanitised
from gemma_lsp.syntax.index import build
from gemma_lsp.text import Text
from gemma_lsp.workspace.snapshot import WorkspaceSnapshot

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
        ("- a\n   ```\n<b>", "- a\n```\n<b>\n```"),
        ("- a\n  ```python\n  x = 1\n    y\n  ```\n- b", "- a\n```python\nx = 1\n  y\n```\n- b"),
        ("1. [x]: https://example.org", "1. [x]\\: https://example.org"),
        ("[a\\]b]: https://example.org", "[a\\]b]\\: https://example.org"),
        ("[a\nb]: https://example.org", "[a\nb]\\: https://example.org"),
        ("![x]", "!\\[x]"),
        ("one ` and ```", "one \\` and \\`\\`\\`"),
        ("\\`[x](command:evil)`", "\\`x\\`"),
        ("a ` b\n`[x](command:evil)`", "a \\` b\n`[x](command:evil)`"),
        ("| `a | b` `[x](command:evil)` |", "| \\`a | b\\` \\`x\\` |"),
        ("`a || b` and `c`", "`a || b` and `c`"),
        ("> ~~~\n> x", "> \\~\\~\\~\n> x"),
        ("```\n[a](b)\n```\u00a0\n<b>", "```\n[a](b)\n```\n&lt;b>"),
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


BITS = [
    *(
        "[a](b)",
        "![",
        "](u)",
        "[a",
        "]: u",
        "[a]: u",
        "[a]",
        "<u:v>",
        "<img>",
        "`",
        "``",
        "```",
        "~~~",
        "\\",
        "|",
        "|-|",
    ),
    *(
        "\n",
        "\n\n",
        " ",
        "x",
        "    ",
        "\t",
        "- ",
        "1. ",
        "> ",
        "# ",
        "\n```\n",
        "\n~~~x\n",
        "a.py: `x = 1`",
        "a.py",
        ": ",
    ),
]


@settings(max_examples=400)
@given(st.lists(st.sampled_from(BITS), max_size=24).map("".join))
def test_no_client_finds_a_link(markdown: str) -> None:
    """As a CommonMark parser reads it, with tables and without; the links to lines are those of the workspace."""
    index = build(WorkspaceSnapshot(root=None, name="w", files={"a.py": Text("x = 1\n")}))
    told = look_up(sanitised(markdown), index, "file:///w/").text
    for parser in (MarkdownIt("commonmark"), MarkdownIt("commonmark").enable("table")):
        for token in parser.parse(told):
            assert token.type != "html_block"
            for inner in token.children or ():
                assert inner.type not in ("image", "html_inline")
                assert inner.type != "link_open" or str(inner.attrs["href"]).startswith("file:///w/a.py#L")


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
    ("quote", "lines"),
    [
        ("return total", [2]),
        ("    return   total", [2]),
        ("3 | return total", [2]),
        ("def f(x):", [0]),
        ("turn tot", [2]),
        ("total", [1, 2]),
        ("x", []),
        ("gone()", []),
    ],
)
def test_a_quote_is_found(quote: str, lines: list[int]) -> None:
    """By its words, not by its spaces; too short a quote shows nothing."""
    assert find_lines(quote, "def f(x):\n    total = x\n    return total\n") == lines


TWINS = "if x:\n    return None\n\n\ndef f():\n    return None\n\n\n\nreturn None\n"


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("`a.py`: `return None`", 6),  # it is about `f`
        ("`a.py`, line 2: `return None`", 2),
        ("`a.py` (lines 9 to 10): `return None`", 10),
        ("In `a.py`, on line 10: `return None`", 10),
        ("In `a.py` at line 3: `return None`", 2),
        ("`a.py:10`: `return None`", 10),
        ("a.py:10: `return None`", 10),
        ("`a.py`: `10 | return None`", 10),
        ("`./a.py`: `return None`", 6),
        ("`./b.py`: `return None`", 1),
        ("`../a.py`: `return None`", None),
    ],
)
def test_which_of_several_lines_is_meant(said: str, line: int | None) -> None:
    """The one at the number that is said, or else the one that was asked about."""
    files = {"a.py": Text(TWINS), "pkg/b.py": Text("return None\n")}
    index = build(WorkspaceSnapshot(root=None, name="w", files=files))
    cited = look_up(sanitised(said), index, "", Shown("a.py", range(4, 6)))
    assert [citation.line for citation in cited.found] == ([line] if line else [])
    assert bool(cited.dropped) == (line is None)


def test_a_long_line_of_dots_is_read_once() -> None:
    """A match begins where a path can, not at every character of one: this took minutes, and nobody else was served."""
    text = "a." * 10_000
    index = build(WorkspaceSnapshot(root=None, name="w", files={}))
    assert look_up(text, index, "").text == text
