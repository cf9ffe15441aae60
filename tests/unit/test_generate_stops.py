"""Where completions end, by the structure at the cursor."""

from __future__ import annotations

import pytest

from gemma_lsp.generate.stops import Extent, Multiline, Shape, cut, shape_for
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
