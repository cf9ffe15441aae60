"""Where completions end, by the structure at the cursor."""

from __future__ import annotations

import pytest

from gemma_lsp.generate.stops import Extent, Multiline, Shape, cut, final_cut, opening, shape_for
from gemma_lsp.syntax.context import cursor_context
from gemma_lsp.syntax.parse import parse
from gemma_lsp.text import Text


def shape_at(code: str, multiline: Multiline = "auto", *, invoked: bool = False) -> Shape:
    offset = code.index("$0")
    text = Text(code.replace("$0", ""))
    context = cursor_context(parse("a.py", text), text.position(offset))
    return shape_for(text, context, offset, multiline=multiline, invoked=invoked)


@pytest.mark.parametrize(
    ("code", "extent", "floor"),
    [
        ("x = $0\n", Extent.LINE, 0),
        ("x = [\n    $0\n]\n", Extent.LINE, 0),
        ('x = "$0"\n', Extent.LINE, 0),
        ("x = 1  # $0\n", Extent.LINE, 0),
        ("for x in y:\n    $0\n", Extent.BLOCK, 4),
        ("if a:\n    for x in y:$0\n", Extent.BLOCK, 5),
        ("def f():\n    $0\n", Extent.FUNCTION, 1),
        ('class A:\n    def f(self):\n        """Does."""\n        $0\n', Extent.FUNCTION, 5),
        ("def f():\n    x = 1\n    $0\n", Extent.LINE, 0),
    ],
)
def test_what_is_wanted_unasked(code: str, extent: Extent, floor: int) -> None:
    """Several lines only where a block or a function is still empty."""
    shape = shape_at(code)
    assert (shape.extent, shape.floor) == (extent, floor)


def test_what_is_wanted_on_request() -> None:
    """Asked for, or with `always`, the rest of the block; with `never` a line everywhere."""
    code = "def f():\n    x = 1\n    $0\n"
    assert shape_at(code, invoked=True).extent is Extent.BLOCK
    assert shape_at(code, "always").extent is Extent.BLOCK
    assert shape_at("def f():\n    $0\n", "never").extent is Extent.LINE


BLOCK = Shape(extent=Extent.BLOCK, floor=4, line_before="    ", next_line="    return x")
TOP = Shape(extent=Extent.BLOCK, floor=0, line_before="", next_line="")


@pytest.mark.parametrize(
    ("shape", "text", "kept"),
    [
        (Shape(extent=Extent.LINE), "a\nb", "a"),
        (Shape(extent=Extent.LINE), "a", None),
        (BLOCK, "a()\n    b()\nc", "a()\n    b()"),
        (BLOCK, "a()\n    b()\n", None),
        (BLOCK, "a()\n    return x\n", "a()"),
        (BLOCK, "a()\n    return x", None),
        (BLOCK, "return x\n", ""),
        (BLOCK, "a(\n)\n    b()\n", None),
        (BLOCK, 'a = """\nb\n"""\n    c\n', None),
        (BLOCK, "a()\n\n    b()\n", None),
        (BLOCK, "a()\n\n\n    b()\n", "a()\n"),
        (TOP, "a()\nb()\n\nc()\n", "a()\nb()"),
    ],
)
def test_where_it_ends(shape: Shape, text: str, kept: str | None) -> None:
    """At less indentation, at what stands below, at blank lines; never inside brackets or strings."""
    end = cut(text, shape)
    assert (text[:end] if end is not None else None) == kept


@pytest.mark.parametrize("shape", [BLOCK, TOP, Shape(extent=Extent.LINE)])
def test_the_end_does_not_move_when_more_text_comes(shape: Shape) -> None:
    """Once over, it is over at the same place."""
    text = "a()\n    b(\n  )\n    return x\nc()\n\nd()\n"
    ends = [end for n in range(len(text) + 1) if (end := cut(text[:n], shape)) is not None]
    assert ends
    assert set(ends) == {ends[0]}


GAP = Shape(extent=Extent.LINE, line_before="    n = sum(", next_line="    return n", meets=")\n    return n")


@pytest.mark.parametrize(
    ("text", "ended", "kept"),
    [
        ("a\n    for a in b)\n    return n\n", False, "a\n    for a in b"),
        ("a)\n    m = 1\n    return n\n    x", False, "a)\n    m = 1"),
        ("a\n    for a in b)", True, "a\n    for a in b)"),
        ("a)\n    m = 1\n    m = 2", False, "a)"),
    ],
)
def test_a_gap_ends_where_it_meets_what_follows(text: str, ended: bool, kept: str) -> None:
    """Or where the model ends it; what a limit cut short falls back on the place's own extent."""
    end = final_cut(text, GAP, ended=ended)
    assert (text if end is None else text[:end]) == kept


@pytest.mark.parametrize(
    ("after", "said"),
    [
        ("bers):\n    x\n", "bers):"),
        (")\n    return n\n", ")\n    return n"),
        ("\n\n    x1\n", "\n\n    x1"),
        ("\n)\n", ""),
    ],
)
def test_what_a_gap_must_meet_says_something(after: str, said: str) -> None:
    """A bracket alone would meet any other."""
    assert opening(after) == said


def test_only_who_asks_a_model_that_fills_gets_a_gap() -> None:
    """Unasked, or from a model that does not see what follows, the extent decides alone."""
    text = Text("x = f(\ny = 1\n")
    context = cursor_context(parse("a.py", text), text.position(6))
    shapes = [
        shape_for(text, context, 6, multiline="auto", invoked=invoked, fills=fills)
        for invoked, fills in ((True, True), (True, False), (False, True))
    ]
    assert [shape.meets for shape in shapes] == ["\ny = 1", "", ""]
    assert [shape.stop for shape in shapes] == [("\n\n\n",), ("\n",), ("\n",)]
