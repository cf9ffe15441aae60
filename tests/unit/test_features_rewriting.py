"""How an answer becomes the definition that stands there: its strings, its namesakes, the fence around it."""

from __future__ import annotations

from textwrap import indent

import pytest

from gemma_lsp.base.errors import EditError
from gemma_lsp.features.actions import ExplainRequest, definitions, edit_action, run_action
from gemma_lsp.features.actions.targets import definition_target
from gemma_lsp.syntax.parse import parse
from gemma_lsp.text import Span, Text
from tests.support.feature_cases import Case, context_for
from tests.support.scripted import Asked, ScriptedEngine, scripted_model

PATH = "m.py"
FENCE = "```"


async def edited(action: str, code: str, answer: str, *, kind: str = "chat") -> str:
    """The file after an action on the definition at `$0`, if the model answers with this code."""
    at = code.index("$0")
    case = Case(name="", source="", files={PATH: code.replace("$0", "")}, path=PATH, offset=at)

    def said(asked: Asked) -> str:
        opening = asked.text.rpartition("python\n")[2]
        if not opening or not asked.text.endswith("python\n" + opening) or "<|turn>" in opening:
            return f"Here it is:\n{FENCE}python\n{answer}{FENCE}\nThat is all."
        margin = opening[: len(opening) - len(opening.lstrip())]
        last = opening.rpartition("\n")[2] or opening.rstrip("\n").rpartition("\n")[2]
        return indent(answer, margin).rpartition(last)[2] + f"{FENCE}\nThat is all."

    ctx = context_for(case, ScriptedEngine(said, model=scripted_model(kind), piece=50))
    found = edit_action(action)
    assert found is not None
    proposal = await run_action(ctx, found, ExplainRequest(path=PATH, span=Span(at, at)), lambda text: None)
    return proposal.after.content


REPORT = '''class Report:
    def query(self, day):
        """What was sold.

        On one day.
        """
        sql = """
SELECT *
    FROM sales
"""
        return self.db.run(sql, day)$0[1]
'''
QUERY = '''def query(self, day):
    """What was sold.

    On one day.
    """
    sql = """
SELECT *
    FROM sales
"""
    return self.db.run(sql, day)[0]
'''


async def test_the_text_of_strings_is_not_moved() -> None:
    """An answer that begins at the margin is indented; its strings say the same as before, docstrings in any place."""
    assert await edited("fix-bug", REPORT, QUERY) == REPORT.replace("$0[1]", "[0]")


async def test_a_string_that_was_moved_with_the_code_goes_back() -> None:
    """Its lines stood there with the indentation of the code around them."""
    code = (
        'class A:\n    def f(self):\n        text = dedent("""\n            a\n            b\n            """)\n'
        "        return text$0[1]\n"
    )
    answer = 'def f(self):\n    text = dedent("""\n        a\n        b\n        """)\n    return text[0]\n'
    assert await edited("fix-bug", code, answer) == code.replace("$0[1]", "[0]")


FOUR = """def f(self, a):
    '''Say it.

    Args:
        a: what.
    '''
    if a:
        return call(
            a,
            'b')
    text = '''
    as it is
'''
    return a + \\
        text
"""


@pytest.mark.parametrize("unit", ["  ", "   ", "\t", "        "])
@pytest.mark.parametrize("given", [" ", "  ", "    ", "\t"])
async def test_the_unit_is_that_of_the_place(unit: str, given: str) -> None:
    """However a model indents: only what it changes is changed."""
    code = "class A:\n" + "".join(
        (unit if n not in (12, 13) else "") + line.replace("    ", unit if n not in (12, 13) else "    ") + "\n"
        for n, line in enumerate(FOUR.splitlines(), 1)
    )
    answer = "".join(
        line.replace("    ", given if n != 12 else "    ") + "\n" for n, line in enumerate(FOUR.splitlines(), 1)
    )
    code = code.replace("text\n", "text$0 + 1\n")
    assert await edited("fix-bug", code, answer) == code.replace("$0 + 1", "")


@pytest.mark.parametrize(
    ("before", "lines", "answer", "after"),
    [
        ("", "if a:\n  if b:\n    x = 1", "if a:\n    if b:\n        x = 2", "if a:\n  if b:\n    x = 2"),
        ("if a:\n  ", "x = 1\n  y = 2", "if x:\n  y = 3", "if x:\n    y = 3"),
        ("T = '''\n", "one\n  two\n'''", "one\n  2\n'''", "one\n  2\n'''"),
        ("if a:\n\t", "if b:\n\t\tx = 1", "if b:\n    x = 2", "if b:\n\t\tx = 2"),
        ("if a:\n\t", "x = 1", "if b:\n  x = 2", "if b:\n\t\tx = 2"),
    ],
)
async def test_selected_lines_keep_their_unit(before: str, lines: str, answer: str, after: str) -> None:
    """Where they show none, and no tabs are in the file, the answer's is taken as it is."""
    case = Case(name="", source="", files={PATH: f"{before}{lines}\n"}, options={"explain.thinking_tokens": "0"})
    ctx = context_for(case, ScriptedEngine(f"{answer}\n{FENCE}", model=scripted_model("chat")))
    action, span = edit_action("fix-bug"), Span(len(before), len(before) + len(lines))
    assert action is not None
    proposal = await run_action(ctx, action, ExplainRequest(path=PATH, span=span), lambda text: None)
    assert proposal.after.content == f"{before}{after}\n"


async def test_new_strings_are_taken_as_they_are_written() -> None:
    """A body that is written for the first time, in a method."""
    code = "class A:\n    def f(self, day):\n        raise NotImplementedError$0\n"
    answer = 'def f(self, day):\n    return f"""\\\nReport\n  {day}\n"""\n'
    wanted = 'class A:\n    def f(self, day):\n        return f"""\\\nReport\n  {day}\n"""\n'
    assert await edited("implement", code, answer) == wanted


async def test_decorators_and_docstrings_that_are_left_out_stay_as_they_were() -> None:
    """Also where their strings are flush left."""
    code = (
        'class A:\n    @says("""\nhello\n""")\n    def f(self):\n        """One.\n\n  Two.\n        """\n'
        "        return 1$0\n"
    )
    wanted = code.replace("return 1$0", "return 2")
    assert await edited("fix-bug", code, "def f(self):\n    return 2\n") == wanted


SIZE = """class A:
    @property
    def size(self):
        return self._size

    @size.setter
    def size(self, value):
        self._size = value$0 + 1
"""
HOME = """if windows:
    def home(user):
        return "C:" + user
else:
    def home(name):
        return "/home/" + name$0 + "x"
"""
HALF = """@overload
def half(x: int) -> int: ...
@overload
def half(x: float) -> float: ...
def half(x):
    return$0 x / 3
"""
SHOW = """@show.register
def _(x: int):
    return 1


@show.register
def _(y: str):
    return y$0 + y
"""


@pytest.mark.parametrize("action", ["fix-bug", "simplify"])
@pytest.mark.parametrize(
    ("code", "answer", "wanted"),
    [
        (SIZE, "@size.setter\ndef size(self, value):\n    self._size = value\n", ("value$0 + 1", "value")),
        (
            SIZE,
            "@property\ndef size(self):\n    return self._size\n\n@size.setter\n"
            "def size(self, value):\n    self._size = value\n",
            ("value$0 + 1", "value"),
        ),
        (HOME, 'def home(name):\n    return "/home/" + name\n', ('name$0 + "x"', "name")),
        (HALF, "def half(x):\n    return x / 2\n", ("return$0 x / 3", "return x / 2")),
        (HALF, HALF.replace("return$0 x / 3", "return x / 2"), ("return$0 x / 3", "return x / 2")),
        (SHOW, "def _(y: str):\n    return y\n", ("y$0 + y", "y")),
    ],
)
async def test_one_of_several_of_the_same_name(action: str, code: str, answer: str, wanted: tuple[str, str]) -> None:
    """A setter beside its property, a twin in the other branch, the function behind its overloads."""
    assert await edited(action, code, answer) == code.replace(*wanted)


@pytest.mark.parametrize(
    "body",
    [
        "raise NotImplementedError(\n        f'{a} (not yet)'\n    )$0  # soon",
        "raise NotImplementedError(str(dict(a=f(g(a)))))$0",
        "pass$0  # soon",
        "...;$0 pass",
    ],
)
async def test_what_says_nothing_yet_is_implemented(body: str) -> None:
    """However many lines it takes for that, and whatever is promised behind it."""
    assert await edited("implement", f"def f(a):\n    {body}\n", "def f(a):\n    return a\n") == (
        "def f(a):\n    return a\n"
    )


@pytest.mark.parametrize("body", ["raise$0 NotImplementedErrors()", "return$0 ...", "print(); pass$0", "raise$0"])
async def test_what_says_something_is_not_implemented_once_more(body: str) -> None:
    """However little it is."""
    with pytest.raises(EditError, match="still to be written"):
        await edited("implement", f"def f(a):\n    {body}\n", "def f(a):\n    return a\n")


async def test_a_long_function_is_not_read_to_see_that_it_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """The menu would wait for it; a long docstring above nothing is nothing."""
    parsed = parse("a.py", Text("def f(a):\n" + "    a = call(a)\n" * 400))
    monkeypatch.setattr(definitions, "_definition", lambda source: pytest.fail("it was read"))
    assert not definitions.is_stub(parsed, parsed.symbols[0])
    monkeypatch.undo()
    parsed = parse("a.py", Text('def f(a):\n    """Says' + "\n    much" * 400 + '\n    """\n    # and nothing\n'))
    assert definitions.is_stub(parsed, parsed.symbols[0])


CACHED = """class Depot:
    @staticmethod
    @cache(
        size=3,
    )
    def rate(zone):
        # Dearer by zone.
        fare = 2 + zone$0
        # Whole cents.
        return round(fare)
"""


@pytest.mark.parametrize("above", ["@staticmethod\n", "@cache(size=3)\n", "", "@cache( size=3 )\n@staticmethod\n"])
async def test_what_a_rewriting_forgets_stays(above: str) -> None:
    """Decorators, if only some are there, and comments above and below what changes."""
    answer = f"{above}def rate(zone):\n    return round(2 * zone, 2)\n"
    after = await edited("fix-bug", CACHED, answer)
    assert after.count("@staticmethod") == after.count("@cache(") == 1
    assert "        # Dearer by zone.\n        return round(2 * zone, 2)\n" in after


async def test_other_comments_take_the_place_of_comments() -> None:
    """They belong to the lines that were written with them."""
    code = 'def f(a):\n    # Adds.\n    b = a + 1$0\n    c = """\n# text\n"""\n    return b + c\n'
    answer = 'def f(a):\n    # Subtracts.\n    b = a - 1\n    c = """\nno text\n"""\n    return b + c\n'
    assert await edited("fix-bug", code, answer) == answer


OLD = '''def rate(zone):
    """Old.
    # Usage."""
    fare = zone
    # In cents.
    fare = cents(fare)
    show(fare)
    log(fare)
    keep(fare)
    return fare + 1$0
'''
NEW = OLD.replace("fare + 1$0", "fare")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('Old.\n    # Usage."""', 'New."""'),
        ("    # In cents.\n    fare = cents(fare)\n", "    fare = cents(fare)  # In cents.\n"),
        ("    # In cents.\n    fare = cents(fare)\n", "    fare = cents(zone)  # In cents.\n"),
        ("    # check(fare)\n", "    check(fare)\n"),
    ],
)
async def test_what_a_rewriting_puts_elsewhere_is_not_said_twice(old: str, new: str) -> None:
    """A comment is not left out that stands behind code now, or is code; text of a docstring is none."""
    kept = "# check(fare)" if "check" in old else "# In cents."
    code, answer = (text.replace("# In cents.", kept) for text in (OLD, NEW))
    assert await edited("fix-bug", code, answer.replace(old, new)) == answer.replace(old, new)


async def test_a_comment_that_a_rewriting_moves_stands_there_alone() -> None:
    """With the line that it is about; one that is left out stays."""
    moved = "    # In cents.\n    fare = cents(fare)\n"
    answer = NEW.replace(moved, "    check(fare)\n").replace("    return", f"{moved}    return")
    assert await edited("fix-bug", OLD, answer) == answer
    forgotten = NEW.replace(moved, "    fare = cents(zone)\n")
    assert await edited("fix-bug", OLD, forgotten) == NEW.replace("cents(fare)", "cents(zone)")


async def test_the_function_behind_its_overloads_is_implemented() -> None:
    """They say nothing themselves, and that is no complaint."""
    code = HALF.replace("return$0 x / 3", "raise NotImplementedError$0")
    assert await edited("implement", code, "def half(x):\n    return x / 2\n") == code.replace(
        "raise NotImplementedError$0", "return x / 2"
    )


async def test_the_parameters_of_the_one_that_is_meant_are_kept() -> None:
    """Not those of its namesake above."""
    with pytest.raises(EditError, match="drops the parameter `name`"):
        await edited("fix-bug", HOME, 'def home(user):\n    return "/home/" + user\n')


ADD = '''def add(a, b):
    """Adds.

    ```python
    add(1, 2)
    ```
    """
    return a + b
'''
FLUSH = '''def ask(model):
    return model("""
```python
x = 1
```
""")
'''


@pytest.mark.parametrize("kind", ["chat", "base"])
@pytest.mark.parametrize("action", ["fix-bug", "simplify", "implement"])
async def test_an_example_in_a_docstring_is_no_end(action: str, kind: str) -> None:
    """The answer ends with the fence around it."""
    code = ADD.replace("return a + b", "raise NotImplementedError$0" if action == "implement" else "return a - b$0")
    assert await edited(action, code, ADD, kind=kind) == ADD


@pytest.mark.parametrize("kind", ["chat", "base"])
@pytest.mark.parametrize("action", ["fix-bug", "simplify"])
async def test_code_that_holds_a_fence_stands_in_a_longer_one(action: str, kind: str) -> None:
    """Else the model would see its end in the middle of the code, and so would what stops it."""
    assert await edited(action, FLUSH.replace("x = 1", "x = 2$0"), FLUSH, kind=kind) == FLUSH


async def test_a_long_class_gets_a_docstring() -> None:
    """Only its outline is shown, and only a docstring is put in."""
    methods = "".join(f"    def m{n}(self):\n        return {n}\n\n" for n in range(60))
    code = f"class Big:\n    x$0 = 1\n\n{methods}"
    wanted = code.replace("x$0", "x").replace("class Big:\n", 'class Big:\n    """Says."""\n')
    assert await edited("docstring", code, 'class Big:\n    """Says."""\n') == wanted


def test_the_outline_of_a_long_class() -> None:
    """Signatures, and what stands between them; of the rest as much as fits."""
    methods = "".join(f"    @cached\n    def m{n}(self):\n        x = {n}\n        return x\n\n" for n in range(40))
    parsed = parse(PATH, Text(f"class Big:\n    x = 1\n\n{methods}"))
    target = definition_target(parsed, Span(0, 0), whole=False)
    assert target is not None
    assert definition_target(parsed, Span(0, 0)) is None
    shown = ("class Big:", "    x = 1", "", "    @cached", "    def m0(self):", "        ...", "", "    @cached")
    assert target.outline.lines[:8] == shown
    assert len(target.outline.lines) == 150
