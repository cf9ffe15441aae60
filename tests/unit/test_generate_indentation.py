"""How deep a new line stands, where the lines around it leave no choice."""

from __future__ import annotations

import pytest

from gemma_lsp.generate.indentation import certain_beginning, certain_indent
from gemma_lsp.syntax.context import cursor_context
from gemma_lsp.syntax.parse import parse
from gemma_lsp.text import Text


def indent_at(code: str, path: str = "a.py") -> str | None:
    offset = code.index("$0")
    text = Text(code.replace("$0", ""))
    parsed = parse(path, text)
    return certain_indent(parsed, cursor_context(parsed, text.position(offset)), offset)


@pytest.mark.parametrize(
    ("code", "indent"),
    [
        ("def f():\n$0\n", 4),
        ("def f():\n    for x in y:\n$0\n    return 1\n", 8),
        ("def f(a,\n      b):\n$0\n", 4),
        ("def f():\n$0\n    return 1\n", 4),
        ("def f():\n    for x in y:\n$0\n            go()\n", 8),
        ("def f():\n    x = 1\n$0\n        go()\n", 4),
        ("def f():\n  x = 1\n$0\n    go()\n", 2),
        ("def f():\n    x = 1\n$0\n    return x\n", None),
        ("def f():\n    if a:\n        x = 1\n$0\n    return x\n", None),
        ("x = [\n    1,\n$0\n        2,\n]\n", None),
        ('"""A:\n$0\n    b\n"""\n', None),
        ("def f():\n    x = $0\n        go()\n", None),
        ('def f():\n    """A."""\n$0\n', 4),
        ('def f():\n    """A."""\n\n$0', 4),
        ('class P:\n    def f(self):\n        """A."""\n\n$0\n', 8),
        ('class P:\n    def f(self):\n        """A."""\n\n$0\n    def g(self):\n        """B."""\n', None),
        ('def f():\n    """A."""\n\n\n$0\n', None),
        ('def f():\n    """A."""\n    return 1\n\n$0\n', None),
        ('def f(): """A."""\n$0\n', None),
        ('class E(Exception):\n    """A."""\n\n$0\n', None),
        ("$0\n", None),
    ],
)
def test_the_lines_around_say_how_deep(code: str, indent: int | None) -> None:
    """Under a header, under a lone docstring, and above what is deeper than the line before; else it is open."""
    assert indent_at(code) == (None if indent is None else " " * indent)


@pytest.mark.parametrize(
    ("code", "indent"),
    [
        ("class A:\n\tdef g(self):\n\t\treturn 1\n\n\tdef f(self):\n$0\n", "\t\t"),
        ("class A:\n\tdef f(self):\n\t\tfor x in y:\n$0\n\t\treturn 1\n", "\t\t\t"),
        ("class A:\n\tdef f(self):\n\t\tfor x in y:\n\t$0\n\t\treturn 1\n", "\t\t\t"),
        ("def f(y):\n\tfor x in y:\n$0\n\t\t\tprint(x)\n", "\t\t"),
        ("def f():\n\tx = 1\n$0\n\t\tgo()\n", "\t"),
        ("def f():\n$0\n\n\ndef g():\n\tpass\n", "\t"),
        ("if a:\n\tb()\nif c:\n$0\n", "\t"),
        ("def f():\n    for x in y:\n$0\n\t\t\tgo()\n", "        "),
        ("def f():\n    x = 1\n$0\n\t\t\t\tgo()\n", None),
    ],
)
def test_tabs_stay_tabs(code: str, indent: str | None) -> None:
    """What is certain begins as the lines around it do."""
    assert indent_at(code) == indent


@pytest.mark.parametrize(
    ("code", "beginning"),
    [
        ("def f(a):\n$0\n    return total\n", "    total"),
        ("def f(a):\n    $0\n    return total\n", "total"),
        ("def f(a):\n    b = 1\n  $0\n    return b + c\n", "  c"),
        ("def f(a):\n    b = 1\n$0\n    return a\n", ""),
        ("def f(a):\n    b = 1\n$0\n        return b\n    return step(a)\n", "    def step("),
        ("def f(a):\n    if a:\n        return 1\n$0\n        print(k)\n", ""),
        ("def f(a):\n    b = 1\n\n$0\n    return total\n", "    total"),
        ("def f(a):\n    b = 1\n\n\n$0\n    return total\n", ""),
        ("class A:\n    def f(self):\n        b = 1\n\n$0\n        return total\n", ""),
        ("def f(a):\n    b = 1\n        $0\n    return total\n", ""),
        ("x = $0\n", ""),
        ("def f(a):\n\tb = 1\n$0\n\treturn total\n", "\ttotal"),
        ("def f(a):\n\tb = 1\n\t$0\n\treturn total\n", "total"),
        ("def f(a):\n\tfor b in a:\n\t$0\n\t\treturn b\n", "\t"),
    ],
)
def test_what_a_line_begins_with(code: str, beginning: str) -> None:
    """What is typed of it is not said again; behind a line that leaves, or an empty one, a header may be missing."""
    offset = code.index("$0")
    text = Text(code.replace("$0", ""))
    parsed = parse("a.py", text)
    assert certain_beginning(parsed, cursor_context(parsed, text.position(offset)), offset) == beginning


def test_other_languages_are_left_alone() -> None:
    """A colon means nothing there."""
    assert indent_at("a:\n$0\n    b\n", "a.txt") is None
