"""The parts of the actions that ask no model: facts, tracebacks, places of tests, edits made of lines."""

from __future__ import annotations

import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemma_lsp.features.actions.annotations import annotation_names
from gemma_lsp.features.actions.definitions import decorators, known_names, parameters
from gemma_lsp.features.actions.edits import Lines, Unusable, check, line_edits, same_code
from gemma_lsp.features.actions.facts import facts_at
from gemma_lsp.features.actions.surroundings import definition_at, definitions_used
from gemma_lsp.features.actions.tracebacks import MAX_CHARS, clipped, place_in
from gemma_lsp.server.tellings import MAX_REMEMBERED, Tellings
from gemma_lsp.syntax.parse import parse
from gemma_lsp.text import Edit, Span, Text
from tests.support.feature_cases import Case, context_for
from tests.support.scripted import ScriptedEngine

WORDS = st.lists(st.sampled_from(["a", "b", "  c", "d = 1", "é\U0001f40d"]), min_size=1, max_size=8)


@given(above=WORDS, old=WORDS, below=WORDS, wanted=WORDS, ends=st.booleans(), last=st.booleans())
def test_line_edits_give_the_wanted_lines(
    above: list[str], old: list[str], below: list[str], wanted: list[str], ends: bool, last: bool
) -> None:
    """Whatever stands around them stays, and a file without a line end at its end keeps none."""
    after = [] if last else below
    base = Text("\n".join([*above, *old, *after]) + ("\n" if ends else ""))
    lines = Lines(len(above), len(above) + len(old) - 1)
    edits = line_edits(base, lines, wanted)
    assert base.with_edits(edits).content == "\n".join([*above, *wanted, *after]) + ("\n" if ends else "")
    allowed = lines.span(base)
    assert all(allowed.start <= edit.span.start and edit.span.end <= allowed.end for edit in edits)


def test_what_a_model_leaves_out_stays() -> None:
    """Comments in `keep` and blank lines, unless something of their kind stands in their place."""
    base = Text("a\n# why\n\nb\n")
    lines = Lines(0, 3)
    assert line_edits(base, lines, ["a", "b"], keep=frozenset({1})) == ()
    assert base.with_edits(line_edits(base, lines, ["a", "c"], keep=frozenset({1}))).content == "a\n# why\nc\n"
    assert line_edits(base, lines, ["a   ", "# why", "", "", "b"]) == ()


@pytest.mark.parametrize(
    ("code", "stub", "names"),
    [
        ("@cache\ndef f[T](a: T) -> T:  # of any kind\n    pass\n", True, ["cache"]),
        ("@d(" + "+".join("1" * 900) + ")\ndef f(a):\n    return a\n", False, []),
        ('def f(a):\n    return match("\\d", a)\n', False, []),
        ("class A:\n\t@x  # why\n\t# more\n\tdef f(self):\n# here\n\t\t...\n", True, ["x"]),
    ],
)
def test_odd_definitions_are_read(code: str, stub: bool, names: list[str]) -> None:
    """A signature newer than this Python, an expression too deep for it, one that it warns of: the menu is shown."""
    parsed = parse("a.py", Text(code))
    symbol = next(symbol for symbol in parsed.symbols if symbol.name == "f")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert facts_at(parsed, symbol.name_span, 0).stub == stub
        assert decorators(parsed, symbol) == names
    assert not said


@pytest.mark.parametrize(
    ("text", "edit", "complaint"),
    [
        ("x = 1\ny = 2\n", Edit(Span(0, 6), "x = 1\n"), "as it stands"),
        ("x = 1\ny = 2\n", Edit(Span(6, 12), "y = 3\n"), "not asked about"),
        ("x = 1\ny = 2\n", Edit(Span(0, 6), "x = (1\n"), "not valid Python"),
        ("def f():\n    pass\n", Edit(Span(0, 9), "def f():\n  x\n"), "Python says"),
    ],
)
def test_what_an_edit_may_not_do(text: str, edit: Edit, complaint: str) -> None:
    """Change nothing, change something else, or leave what does not parse."""
    with pytest.raises(Unusable, match=complaint):
        check("a.py", Text(text), [edit], Span(0, text.index("\n") + 1))


def test_same_code() -> None:
    """Comments and formatting aside; what cannot be read is never the same."""
    assert same_code(Text("x = 1\n"), Text("x = (1)  # one\n"))
    assert not same_code(Text("x = 1\n"), Text("x = 2\n"))
    assert not same_code(Text("x = (\n"), Text("x = (\n"))


TRACE = """\
Traceback (most recent call last):
  File "/home/me/shop/shop/cart.py", line 5, in total
    return rate(item)
  File "C:\\work\\shop\\shop\\rates.py", line 2, in rate
    return weight * 3
  File "/usr/lib/python3/json.py", line 9, in loads
TypeError: no
"""


@pytest.mark.parametrize(
    ("traceback", "paths", "place"),
    [
        (TRACE, ["shop/cart.py", "shop/rates.py"], ("shop/rates.py", 2)),
        (TRACE, ["cart.py"], ("cart.py", 5)),
        (TRACE, ["art.py"], None),
        ("tests/test_a.py:7: AssertionError\n", ["tests/test_a.py"], ("tests/test_a.py", 7)),
        ("nothing", ["a.py"], None),
    ],
)
def test_where_a_traceback_points(traceback: str, paths: list[str], place: tuple[str, int] | None) -> None:
    """The innermost line that lies in the workspace."""
    assert place_in(traceback, paths) == place


def test_a_long_traceback_keeps_its_end() -> None:
    """In whole lines, and without what would end the fence around it."""
    text = clipped("\r\n".join(f"line {n} ```" for n in range(1000)))
    assert len(text) <= MAX_CHARS + 4
    assert text.startswith("...\nline ")
    assert text.endswith("line 999 '''")


def test_facts_of_places() -> None:
    """What the menu goes by."""
    text = Text(
        'def stub(a: int) -> int:\n    """Doc."""\n    ...  \n\n\nclass A:\n    def f(self, b):\n        return b\n'
    )
    parsed = parse("tests/test_x.py", text)
    stub = facts_at(parsed, Span(5, 5), 2)
    assert (stub.symbol, stub.stub, stub.documented, stub.annotated) == ("stub", True, True, True)
    assert (stub.test, stub.selected, stub.n_diagnostics, stub.function) == (True, False, 2, True)
    method = facts_at(parsed, Span(text.content.index("return b"), len(text.content)), 0)
    assert (method.symbol, method.stub, method.annotated, method.selected) == ("A.f", False, False, True)
    assert not facts_at(parsed, Span(text.content.index("class"), text.content.index("class")), 0).function


@pytest.mark.parametrize(
    ("code", "missing"),
    [
        ("def f(a):\n    return a\n", ""),
        ("def f(a): return a\n", "documentable apart alone"),
        ("def f(a):  # why\n    return a\n", "alone"),
        ('def f(a):\n    """One."""; return a\n', "documentable"),
        ("class A: pass\n", "documentable apart alone"),
        ("def f(a):\n    return a\n" + "    # more\n" * 150 + "    a\n", "workable"),
        ("class A:\n" + "    x = 1\n" * 150, "workable"),
        ("@typing.overload  # one\ndef f(a):\n    ...\n", "single"),
        ("@overload\n@other\ndef f(a):\n    ...\n", "single"),
    ],
)
def test_what_keeps_an_action_from_a_definition(code: str, missing: str) -> None:
    """What would be refused is not offered: a long definition, one on a single line."""
    at = code.index("f(") if "f(" in code else code.index("A:")
    facts = facts_at(parse("a.py", Text(code)), Span(at, at), 0)
    said = {"documentable": facts.documentable, "workable": facts.workable, "apart": facts.apart, "alone": facts.alone}
    said["single"] = not facts.overload
    assert {name for name, is_so in said.items() if not is_so} == set(missing.split())


def test_a_long_selection_is_not_worked_on() -> None:
    """Nor is a long function as a whole; a few lines of it are."""
    text = Text("def f(a):\n" + "    a += 1\n" * 200)
    parsed = parse("a.py", text)
    assert facts_at(parsed, Span(14, 40), 0).workable
    assert not facts_at(parsed, Span(0, len(text.content)), 0).workable
    assert not facts_at(parsed, Span(14, 14), 0).workable


def test_parameters_of_signatures() -> None:
    """In order, with their defaults; what Python cannot read has none."""
    found = parameters("async def f(a, /, b=1, *c, d: int = 2, **e) -> X:")
    assert found is not None
    assert [(p.name, p.default, p.annotated) for p in found] == [
        ("a", "", False),
        ("b", "1", False),
        ("d", "2", True),
        ("*c", "", False),
        ("**e", "", False),
    ]
    assert parameters("def f(:") is None
    assert annotation_names('def f(a: list[B], *c: "D") -> e.F:') == {"list", "B", "e"}
    assert {"int", "np", "os", "here"} <= known_names(parse("a.py", Text("import numpy as np, os.path\nhere = 1\n")))


def test_definitions_that_a_place_uses() -> None:
    """Those of the same file first; a name that means many things says nothing; what is around it is no use."""
    files = {
        "a.py": "LIMIT = 3\n\n\ndef f(x):\n    return g(x, LIMIT) + f(0) + h()\n\n\ndef g(x,\n      y):\n    pass\n",
        "b.py": "def g(): pass\n\n\ndef h(): pass\n",
        "c.py": "def h(): pass\n",
        "d.py": "def h(): pass\n",
    }
    ctx = context_for(Case(name="", source="", files=files), ScriptedEngine())
    parsed = ctx.index.files["a.py"]
    symbol = definition_at(parsed, Span(20, 20))
    assert symbol is not None
    used = definitions_used(ctx.index, "a.py", symbol.span)
    assert [(quote.path, quote.text) for quote in used] == [("a.py", "def g(x, y):"), ("a.py", "LIMIT = 3")]


class _Said:
    earlier = ()
    question = "Why?"

    def __init__(self, id_: str) -> None:
        self.id = id_


def test_the_last_answers_are_remembered() -> None:
    """What nobody can ask about is not, nor what was never said."""
    tellings = Tellings()
    for n in range(MAX_REMEMBERED + 1):
        tellings.remember(_Said(str(n)), "Because.")
    assert tellings.earlier("0") is None
    assert tellings.earlier(str(MAX_REMEMBERED)) is not None
    tellings.remember(_Said("silent"), "")
    assert tellings.earlier("silent") is None
    assert tellings.stop("nobody") is False
