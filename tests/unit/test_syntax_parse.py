"""Parsing any text at all: chunks tile it, offsets are code points, and an edit gives what a fresh parse gives."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from gemma_lsp.syntax import ChunkKind, OpenTree, ParsedFile, Parser, SymbolKind, parse
from gemma_lsp.syntax.chunks import LONG_CHUNK, PROSE_CHUNK
from gemma_lsp.syntax.context import cursor_context, enclosing_chunk, innermost
from gemma_lsp.syntax.skeleton import map_line, skeleton
from gemma_lsp.text import Position, Text

BITS = (
    "def f(a, b=1):\n",
    "class A(B):\n",
    "async def g():\n",
    "    ",
    "\t",
    "\n",
    "\n\n",
    "@deco\n",
    "# cömment 😀\n",
    '"""',
    "'",
    '"',
    "return x.y(z)\n",
    "x = 1\n",
    "naïve: int\n",
    "import a.b as c\n",
    "from ..p import (q, r)\n",
    "if x:\n",
    "else:\n",
    "(",
    ")",
    "[",
    "}",
    ":",
    ",",
    "f'{x!r:>{w}}'",
    "\\\n",
    "é",
    "😀",
    "\x00",
    "\x0c",
    "\u2028",
    "match x:\n",
    "case _:\n",
    "type X = int\n",
    "lambda *a, **k: a\n",
    "pass\n",
)
CODE = st.lists(st.sampled_from(BITS), max_size=40).map("".join)
ANYTHING = st.text(max_size=200).map(lambda raw: Text.normalised(raw).content)


def check_tiling(parsed: ParsedFile) -> None:
    """In order, without gap or overlap, and cut at line starts only."""
    content, at = parsed.text.content, 0
    for chunk in parsed.chunks:
        assert chunk.span.start == at
        assert len(chunk.span) > 0
        assert at == 0 or content[at - 1] == "\n"
        at = chunk.span.end
    assert at == len(content)


@settings(deadline=None)
@given(st.one_of(CODE, ANYTHING))
@example("class A: pass\x0cdef f(): pass")
def test_any_python_is_tiled_and_described(content: str) -> None:
    """Nothing fails, every fact lies inside the text, and names are where they are said to be."""
    parsed = parse("a.py", Text(content))
    check_tiling(parsed)
    for symbol in parsed.symbols:
        assert content[symbol.name_span.start : symbol.name_span.end] == symbol.name
        assert symbol.span.start <= symbol.name_span.start <= symbol.name_span.end <= symbol.span.end <= len(content)
        assert symbol.qualified.split(".")[-1] == symbol.name
    for reference in parsed.references:
        assert content[reference.span.start : reference.span.end] == reference.name
    assert all(span.end <= len(content) for span in parsed.error_spans)


@settings(deadline=None)
@given(st.one_of(CODE, ANYTHING))
def test_any_prose_is_tiled(content: str) -> None:
    """What is not Python is cut into runs of lines as well."""
    check_tiling(parse("README.md", Text(content)))


@settings(deadline=None)
@given(st.one_of(CODE, ANYTHING))
def test_skeletons_are_never_longer_than_their_chunks(content: str) -> None:
    """One short form for each chunk, whatever the code, and one line of names."""
    parsed = parse("a.py", Text(content))
    forms = skeleton(parsed)
    assert len(forms) == len(parsed.chunks)
    assert all(len(form) <= len(chunk.span) for form, chunk in zip(forms, parsed.chunks, strict=True))
    assert "\n" not in map_line(parsed)


@settings(deadline=None)
@given(CODE, st.lists(st.tuples(st.integers(0, 400), st.integers(0, 30), st.sampled_from(BITS)), max_size=5))
@example("é😀 = 1\n", [(1, 1, "😀"), (0, 1, "")])
def test_an_edit_gives_what_a_fresh_start_gives(content: str, edits: list[tuple[int, int, str]]) -> None:
    """After each of several edits what is kept and nothing kept say the same."""
    tree = OpenTree("a.py", Text(content))
    for start, length, new in edits:
        start = min(start, len(content))
        content = content[:start] + new + content[start + length :]
        assert tree.update(Text(content)) == OpenTree("a.py", Text(content)).parsed


@settings(deadline=None)
@given(CODE, st.integers(0, 30), st.integers(0, 40))
def test_any_cursor_has_a_context(content: str, line: int, column: int) -> None:
    """The context of any place can be asked, its chunk holds it, and the innermost definition is around it."""
    parsed = parse("a.py", Text(content))
    offset = parsed.text.offset(Position(line, column))
    context = cursor_context(parsed, Position(line, column))
    assert context.indent >= 0
    assert not (context.in_string and context.in_comment)
    chunk = enclosing_chunk(parsed, offset)
    assert chunk.span.start <= offset <= chunk.span.end
    found = innermost(parsed, offset)
    assert found is None or found.span.start <= offset <= found.span.end


def test_offsets_are_code_points_after_non_ascii_text() -> None:
    """Bytes of UTF-8 never leave the parser."""
    content = '# größe 😀\ndef wäge(päckchen):\n    """€."""\n    return päckchen.größe()\n'
    parsed = parse("a.py", Text(content))
    (symbol,) = parsed.symbols
    assert parsed.text.slice(symbol.signature) == "def wäge(päckchen):"
    assert symbol.docstring is not None
    assert parsed.text.slice(symbol.docstring) == '"""€."""'
    assert [(used.name, used.is_call) for used in parsed.references] == [("päckchen", False), ("größe", True)]


def test_references_leave_out_what_binds_a_name() -> None:
    """Definitions, parameters, assignments, loops, imports and keywords of calls are no uses."""
    content = (
        "import os\nfrom a import b as c\n\n"
        "def f(x, *args, y: T = D, **kw):\n"
        "    total = g(x, key=y)\n"
        "    for i, (j, k) in pairs(total):\n"
        "        o.attr = i\n"
        "    with w() as h: pass\n"
        "    return [n for n in os.path if (m := n)]\n"
    )
    parsed = parse("a.py", Text(content))
    names = [used.name for used in parsed.references]
    assert names == ["T", "D", "g", "x", "y", "pairs", "total", "o", "attr", "i", "w", "n", "os", "path", "n"]
    assert [used.name for used in parsed.references if used.is_call] == ["g", "pairs", "w"]


def test_imports_keep_what_was_written() -> None:
    """Modules with their dots, names without their aliases, one entry for each module."""
    content = (
        "import a, b.c as d\n"
        "from ..rates import x as y, z\n"
        "from . import q\n"
        "from m import *\n"
        "def f():\n"
        "    from __future__ import annotations\n"
    )
    imports = parse("a.py", Text(content)).imports
    assert [(found.module, found.names) for found in imports] == [
        ("a", ()),
        ("b.c", ()),
        ("..rates", ("x", "z")),
        (".", ("q",)),
        ("m", ("*",)),
        ("__future__", ("annotations",)),
    ]


def test_symbols_say_where_their_parts_are() -> None:
    """Decorators belong to the span, the signature ends with its colon, and variables are their statement."""
    content = (
        "LIMIT: int = max(\n    1, 2)\n"
        "@a\n@b(1)\nasync def f(\n    x: dict = {1: 2},\n) -> dict[str, int]:\n    '''Doc.'''\n    pass\n"
        "class C(Base):\n    size = 1\n    size = 2\n    def m(self): pass\n"
    )
    text = Text(content)
    symbols = {symbol.qualified: symbol for symbol in parse("a.py", text).symbols}
    assert {name: symbol.kind.value for name, symbol in symbols.items()} == {
        "LIMIT": "variable",
        "f": "function",
        "C": "class",
        "C.size": "variable",
        "C.m": "method",
    }
    assert text.slice(symbols["LIMIT"].span) == "LIMIT: int = max(\n    1, 2)"
    assert text.slice(symbols["LIMIT"].signature) == "LIMIT: int = max("
    assert text.slice(symbols["f"].span).startswith("@a\n@b(1)\nasync def")
    assert text.slice(symbols["f"].signature) == "async def f(\n    x: dict = {1: 2},\n) -> dict[str, int]:"
    assert text.slice(symbols["f"].body) == "'''Doc.'''\n    pass"
    assert text.slice(symbols["C.size"].span) == "size = 1"


def test_a_long_function_is_cut_between_its_statements() -> None:
    """Its pieces have its symbol; each begins with an outer statement while there is one to cut at."""
    loop = "    for i in x:\n        if i:\n            go(i)\n"
    content = "def f(x):\n" + loop * 300 + "\n\ndef g():\n    pass\n"
    parsed = parse("a.py", Text(content))
    check_tiling(parsed)
    pieces = [chunk for chunk in parsed.chunks if chunk.symbol == "f"]
    assert len(pieces) > 2
    assert all(len(chunk.span) <= LONG_CHUNK for chunk in pieces)
    assert all(parsed.text.slice(chunk.span).startswith("    for i in x:") for chunk in pieces[1:])
    assert parsed.chunks[-1].symbol == "g"


def test_a_long_statement_is_cut_at_lines() -> None:
    """A table that has no statement inside is still bounded, and a line is never cut."""
    row = f"    {'1, ' * 20}\n"
    parsed = parse("a.py", Text("TABLE = [\n" + row * 400 + "]\nLONG = '" + "x" * 2 * LONG_CHUNK + "'\n"))
    check_tiling(parsed)
    assert max(len(chunk.span) for chunk in parsed.chunks[:-1]) <= LONG_CHUNK
    assert len(parsed.chunks[-1].span) > 2 * LONG_CHUNK


def test_an_edit_in_one_function_leaves_the_other_chunks_as_they_were() -> None:
    """The texts of the chunks are what the prompt caches by."""
    content = "".join(f"# About {n}.\ndef f{n}():\n    return {n}\n\n\n" for n in range(20))
    edited = content.replace("return 7", "x = 7\n\n    return x + 1")
    before, after = (parse("a.py", Text(source)) for source in (content, edited))
    texts = [{parsed.text.slice(chunk.span) for chunk in parsed.chunks} for parsed in (before, after)]
    assert len(texts[0] - texts[1]) == len(texts[1] - texts[0]) == 1


def test_prose_is_cut_at_headings_and_blank_lines() -> None:
    """Sections stay apart once they are worth it, and a long run of lines is cut all the same."""
    section = "A line of prose.\n" * 30
    parsed = parse("README.md", Text(f"# One\n\n{section}\n## Two\n\n{section}\n" + "no blank line\n" * 500))
    check_tiling(parsed)
    starts = [parsed.text.slice(chunk.span).split("\n")[0] for chunk in parsed.chunks]
    assert starts[:2] == ["# One", "## Two"]
    assert all(len(chunk.span) <= 2 * PROSE_CHUNK + 20 for chunk in parsed.chunks)
    assert {chunk.kind for chunk in parsed.chunks} == {ChunkKind.PROSE}


def test_an_empty_file_has_no_chunks() -> None:
    """And asking for the one around its only place gives an empty one."""
    parsed = parse("a.py", Text(""))
    assert parsed.chunks == ()
    assert len(enclosing_chunk(parsed, 0).span) == 0


def test_a_parser_keeps_trees_of_open_files_only() -> None:
    """Whether a file is open never shows in what is said about it."""
    parser, texts = Parser(), [Text("x = 1\n"), Text("def f(): pass\n"), Text("def f(): return é\n")]
    parser.open("a.py", texts[0])
    assert [parser.parse("a.py", text) for text in texts] == [parse("a.py", text) for text in texts]
    assert parser.open("a.py", texts[0]) == parse("a.py", texts[0])
    parser.close("a.py")
    parser.close("never-opened.py")
    assert parser.parse("a.py", texts[1]) == parse("a.py", texts[1])
    assert parser.open("b.md", texts[0]).language == "text"


def test_variables_are_no_scope() -> None:
    """The innermost definition around an assignment is the class that it stands in."""
    parsed = parse("a.py", Text("class A:\n    x = 1\n"))
    found = innermost(parsed, parsed.text.content.index("1"))
    assert found is not None
    assert (found.qualified, found.kind) == ("A", SymbolKind.CLASS)


def test_absurd_nesting_is_no_recursion() -> None:
    """Neither of strings in fields, nor of brackets, nor of blocks, nor of formats."""
    blocks = "".join(f"{'  ' * depth}class A{depth}:\n" for depth in range(400))
    for content in ('f"{' * 1_000, "f'{a:{b:" * 1_000, "(" * 9_000, "f'{" + "(" * 2_000, blocks, "@" * 2_000):
        parsed = parse("a.py", Text(content))
        check_tiling(parsed)
        assert cursor_context(parsed, Position(10_000, 0)).indent >= 0
        assert len(skeleton(parsed)) == len(parsed.chunks)
