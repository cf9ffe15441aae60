"""A file that is read in pieces says what the whole says, however it came to be; an error concerns its piece alone."""

from __future__ import annotations

import gc
import importlib
import inspect
import random
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemma_lsp.syntax import OpenTree, SymbolKind, parse, reading
from gemma_lsp.syntax.pieces import moved_starts, statement_starts
from gemma_lsp.syntax.whole import chunk_starts
from gemma_lsp.text import Text
from gemma_lsp.text.common import common_ends

LINES = (
    "class A(B):\n",
    "    def m(self):\n",
    "    def n(self): pass\n",
    "        return x.y(z)\n",
    "    @deco\n",
    "    # note\n",
    "# note\n",
    "\n",
    '    """doc"""\n',
    '"""\n',
    "    '''\n",
    "x = 1\n",
    "    y = 2\n",
    "if x:\n",
    "else:\n",
    "    class C:\n",
    "        def k(self):\n",
    "def f(a, b=1):\n",
    "@deco\n",
    "(",
    ")",
    "é😀 = 1\n",
    "foo(\n",
    "bar]\n",
    "async def g():\n",
    "import a.b\n",
    "    pass\n",
    "'",
    "\\\n",
    "r'''\n",
    "  def odd(): pass\n",
    'text = f"""{x}\n',
)
ANY_LINES = st.lists(st.sampled_from(LINES), max_size=50).map("".join)

STATEMENTS = (
    "x = 1\n",
    "import a.b\n",
    "# note\n",
    "\n",
    '"""doc\n\nwords here\ndef f():\n"""\n',
    "y = [\n    1,\n\nz,\n]\n",
    "foo(\n    a\n)\n",
    "if x:\n    pass\n\nelse:\n    pass\n",
    "for a in b:\n    def g(): pass\n",
    "@deco\n\ndef h(): pass\n",
    "def f(a, b=1):\n    # in\n    return a.b(c)\n",
    '# above\nasync def g():\n    """d"""\n',
    "try:\n    pass\nexcept A:\n    pass\n",
    "type X = int\n",
    "é = '😀'\n",
    "r = '''\nclass Q:\n    def z(self): pass\n'''\n",
    't = ["""\ndef one(): pass\n""", f"""{x}\n\nclass Two:\n"""]\n',
)
BODY = st.lists(st.sampled_from(STATEMENTS), max_size=5).map(lambda parts: "".join((*parts, "pass\n")))


def a_class(body: str) -> str:
    """A class around some code. What is inside of strings is indented too: it stays a string."""
    return "class A(B):\n" + "".join("    " + line if line.strip() else line for line in body.splitlines(keepends=True))


CLASSES = st.recursive(
    BODY.map(a_class), lambda inner: st.tuples(inner, BODY, inner).map("".join).map(a_class), max_leaves=3
)
DECORATED = st.tuples(st.sampled_from(("", "@deco\n", "# note\n@deco(\n    1\n)\n")), CLASSES).map("".join)
VALID = st.lists(st.one_of(st.sampled_from(STATEMENTS), DECORATED), max_size=7).map("".join)


@pytest.fixture(autouse=True)
def short_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every class is cut into its members, however short."""
    monkeypatch.setattr(reading, "LONG_CLASS", 1)
    monkeypatch.setattr(reading, "_KNOWN", 2)
    monkeypatch.setattr(reading, "_CLASSES", 2)


@settings(deadline=None)
@given(VALID)
def test_pieces_say_what_the_whole_says(content: str) -> None:
    """For code that parses: the same chunks, symbols, references and imports."""
    whole = parse("a.py", Text(content))
    assert not whole.error_spans
    assert OpenTree("a.py", Text(content)).parsed == whole


@settings(deadline=None)
@given(ANY_LINES, st.lists(st.tuples(st.integers(0, 700), st.integers(0, 30), st.sampled_from(LINES)), max_size=5))
def test_edits_lead_where_a_fresh_start_leads(content: str, edits: list[tuple[int, int, str]]) -> None:
    """Whatever was typed before, and whatever of it was read before."""
    tree = OpenTree("a.py", Text(content))
    for start, length, new in edits:
        start = min(start, len(content))
        content = content[:start] + new + content[start + length :]
        assert tree.update(Text(content)) == OpenTree("a.py", Text(content)).parsed


@settings(deadline=None)
@given(
    st.one_of(ANY_LINES, VALID, CLASSES),
    st.lists(
        st.tuples(st.floats(0, 1), st.sampled_from((0, 0, 0, 1, 7, 90)), st.sampled_from((*LINES, "", "(", '"', "x"))),
        max_size=8,
    ),
)
def test_keys_lead_where_a_fresh_start_leads(content: str, edits: list[tuple[float, int, str]]) -> None:
    """Each as an editor tells it, so that the texts know of each other; everything that is made later, too."""
    text = Text(content)
    tree = OpenTree("a.py", text)
    for where, length, new in edits:
        start = int(where * len(text.content))
        text = text.replaced(start, min(start + length, len(text.content)), new)
        parsed, fresh = tree.update(text), OpenTree("a.py", Text(text.content)).parsed
        assert parsed == fresh
        assert chunk_starts(parsed) == [chunk.span.start for chunk in fresh.chunks]
        assert [parsed.chunks[n - len(parsed.chunks)] for n in range(len(parsed.chunks))] == list(fresh.chunks)


@pytest.mark.parametrize("name", ["argparse", "dataclasses", "textwrap", "tomllib._parser"])
def test_keys_in_real_modules_lead_where_a_fresh_start_leads(name: str) -> None:
    """Typed and deleted at random in the library's own source, whole functions too."""
    content = inspect.getsource(importlib.import_module(name))
    chance, text = random.Random(name), Text(content[:30_000])
    tree = OpenTree("a.py", text)
    for _ in range(40):
        symbols, length = tree.parsed.symbols, len(text.content)
        start = chance.randrange(length + 1)
        end = min(length, start + chance.choice((0, 0, 0, 1, 5, 40)))
        if symbols and not chance.randrange(6):
            start, end = (span := chance.choice(symbols).span).start, span.end
        new = chance.choice(("x", "\n", "(", ")", '"', "'", '"""', "def f():\n", "\n\n@a\n", "#", "😀é", "    ", ""))
        text = text.replaced(start, end, new)
        assert tree.update(text) == OpenTree("a.py", Text(text.content)).parsed


@settings(deadline=None)
@given(ANY_LINES, ANY_LINES, st.integers(0, 700), st.integers(0, 60))
def test_starts_are_moved_along_with_an_edit(content: str, new: str, start: int, length: int) -> None:
    """Looking at what differs finds what looking at everything finds."""
    start = min(start, len(content))
    after = content[:start] + new + content[start + length :]
    head, tail = common_ends(content, after)
    moved = moved_starts(statement_starts(content), after, len(after) - len(content), head, tail)
    assert moved.offsets == statement_starts(after)


def test_an_open_quote_leaves_what_follows_alone() -> None:
    """The definitions below it are seen as before, with their docstrings; so do the members of the same class."""
    before = 'def f():\n    x = 1\n\n\ndef g():\n    """Does it."""\n\n\nclass A:\n    def m(self):\n'
    before += '        """Too."""\n\n'
    before += "    def n(self):\n        return 2\n"
    tree = OpenTree("a.py", Text(before))
    broken = tree.update(Text(before.replace("x = 1", 'x = """')))
    assert [symbol.qualified for symbol in broken.symbols] == ["f", "g", "A", "A.m", "A.n"]
    assert [chunk.symbol for chunk in broken.chunks] == ["f", "g", "A", "A.m", "A.n"]
    inside = tree.update(Text(before.replace('"""Too."""', 'y = """')))
    assert [symbol.qualified for symbol in inside.symbols if symbol.kind is SymbolKind.METHOD] == ["A.m", "A.n"]
    assert tree.update(Text(before)) == parse("a.py", Text(before))


def test_a_bracket_that_was_not_closed_ends_at_the_next_definition() -> None:
    """As the one who types it means it."""
    parsed = parse("a.py", Text("x = f(1,\n\n\ndef g():\n    return h[\n\n\nclass A:\n    pass\n"))
    assert [symbol.qualified for symbol in parsed.symbols] == ["g", "A"]


def test_a_version_is_let_go_once_it_is_not_the_last() -> None:
    """Nothing of it waits for the garbage collector, which seldom looks while someone types."""
    text = Text("x = 1\n\n\ndef f():\n    pass\n\n\nclass A:\n    def m(self):\n        pass\n")
    tree, gone = OpenTree("a.py", text), []
    gc.disable()
    try:
        for n in range(4):
            assert [chunk.symbol for chunk in tree.parsed.chunks][-1]
            gone.append(weakref.ref(tree.parsed.chunks))
            text = text.replaced(0, 1, f"x{n}")
            tree.update(text)
        assert [ref() is None for ref in gone[:2]] == [True, True]
        closed = weakref.ref(tree)
        del tree
        assert closed() is None
    finally:
        gc.enable()
