"""What an edit keeps though a model left it out, and what is no edit because something is lost or broken by it."""

from __future__ import annotations

import pytest

from gemma_lsp.base.errors import EditError
from gemma_lsp.features.actions.keeping import with_comments
from tests.unit.test_features_rewriting import edited

SIGNED = """@cache
async def load(
    path: Path,  # of the file
    *,
    limit: int = 10,
) -> list[str]:  # noqa: C901
    lines = []  # type: ignore[var-annotated]
    label = "#"  # one
    async for line in read(path):
        lines.append(line)
    return lines[$0:limit + 1]
"""


@pytest.mark.parametrize(
    "signature",
    [
        "async def load(path, *, limit):",
        "def load(path, *, limit=10):",
        "async def load(path: Path, *, limit: int) -> list[str]:",
        "async def load(path: Path, *, limit: int=10) -> list[str]:",
    ],
)
async def test_what_an_answer_leaves_out_of_a_signature_stays(signature: str) -> None:
    """Annotations, defaults, `async`, and the comments behind code that is still there."""
    body = '\n    lines = []\n    label = "#"\n    async for line in read(path):\n        lines.append(line)\n'
    answer = signature + body + "    return lines[:limit]\n"
    assert await edited("fix-bug", SIGNED, answer) == SIGNED.replace("$0:limit + 1", ":limit")


@pytest.mark.parametrize(
    "signature", ["def load(path, limit=None):", "def load(path, *, limit=10, more=1):", "def load(path: str):"]
)
async def test_a_signature_that_says_something_else_is_taken(signature: str) -> None:
    """It may be what is wrong."""
    code = "def load(path, limit=[]):$0\n    return path\n"
    if signature == "def load(path: str):":
        code = code.replace("path, limit=[]", "path: bytes")
    assert await edited("fix-bug", code, f"{signature}\n    return path\n") == (
        code.replace("def load(path, limit=[]):$0", signature).replace("def load(path: bytes):$0", signature)
    )


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("x = 1  # one\nx = 1", "x = 1\nx = 1", "x = 1  # one\nx = 1"),
        ("x = 1  # one\nx = 1", "x = 1", "x = 1"),  # which one is left?
        ("x = '#'  # one", "x = '#'  # two", "x = '#'  # two"),
        ("# one\nx = 1", "x = 1", "x = 1"),  # a line of its own is another matter
        ('x = """\ny = 1\n"""\ny = 1  # one', 'x = """\ny = 1\n"""\ny = 1', 'x = """\ny = 1\n"""\ny = 1  # one'),
    ],
)
def test_comments_behind_code_stay(old: str, new: str, wanted: str) -> None:
    """Behind code that is still there, and as often as it was."""
    assert "\n".join(with_comments(new.split("\n"), old.split("\n"))) == wanted


STORE = """class Store:
    limit = 10

    def get(self, key):
        return self.items[key]

    def put(self, key, value):
        def checked():
            return value
        self.items[key] = checked()


x = 1$0
"""


@pytest.mark.parametrize(
    ("code", "answer", "complaint"),
    [
        (
            STORE.replace("$0", "").replace("limit", "limit$0"),
            "class Store:\n    limit = 9\n\n    def get(self, key):\n        return 1\n",
            "it leaves out `Store.put`",
        ),
        (
            "def f(a):\n    return a$0 + 1\n",
            "def f(a):\n    return helper(a)\n\n\ndef helper(a):\n    return a\n",
            "it uses `helper`, which the file does not have",
        ),
        (
            "class A:\n    def f(self, a):\n        return a$0 + 1\n",
            "class A:\n    LEAST = 1\n\n    def f(self, a):\n        return a + self.LEAST\n",
            "it uses `LEAST`, which the file does not have",
        ),
        ("def f(a):\n    return a$0 + 1\n", "def f(a):\n    return await a\n", "'await' outside async function"),
    ],
)
async def test_what_an_answer_breaks(code: str, answer: str, complaint: str) -> None:
    """Methods that are gone, helpers that stay behind, what only Python's compiler sees."""
    with pytest.raises(EditError, match=complaint):
        await edited("fix-bug", code, answer)


async def test_an_example_below_an_answer_is_no_helper() -> None:
    """Though it sets a name that the function uses: it sets it itself."""
    answer = "def f(a):\n    result = a\n    return result\n\n\nresult = f(1)\n"
    assert await edited("fix-bug", "def f(a):\n    return a$0 + 1\n", answer) == answer.partition("\n\n")[0] + "\n"


async def test_what_a_class_may_lose() -> None:
    """A method that has another name, an attribute, what a method defines inside of itself."""
    answer = (
        "class Store:\n    def __init__(self):\n        self.limit = 10\n\n    def get(self, key):\n"
        "        return self.items[key]\n\n    def put_(self, key, value):\n        self.items[key] = value\n"
    )
    code = STORE.replace("$0", "").replace("limit", "limit$0")
    assert await edited("fix-bug", code, answer) == f"{answer}\n\nx = 1\n"


@pytest.mark.parametrize(
    ("signature", "kept"),
    [("(items):", False), ("(a, b=1):", False), ("(a: int) -> int:", True), ("(*a):", False)],
)
async def test_what_is_simplified_is_called_as_before(signature: str, kept: bool) -> None:
    """By the same names; an annotation is no harm."""
    code = "def f(a):\n    for x in a:\n        yield x$0\n"
    answer = f"def f{signature}\n    yield from {signature.strip('(*').split(')')[0].split(':')[0].split(',')[0]}\n"
    if kept:
        assert await edited("simplify", code, answer) == answer
    else:
        with pytest.raises(EditError, match="it changes the signature of `f`"):
            await edited("simplify", code, answer)


@pytest.mark.parametrize(
    ("code", "docstring", "wanted"),
    [
        ("def f(a):\n    return a$0\n", r"Match \d.", r'r"""Match \d."""'),
        ("def f(a):\n    return a$0\n", r"Join with \n, not \\n.", r'r"""Join with \n, not \\n."""'),
        ("def f(a):\n    return a$0\n", r"Join with \\n, say \"so\".", r'"""Join with \\n, say \"so\"."""'),
        ("def f(a):\n    r'''Old \\\\ one.'''\n    return a$0\n", r"Join with \\n.", r'r"""Join with \\n."""'),
        ("def f(a):\n    '''Old.'''  # noqa: D300\n    return a$0\n", "New.", '"""New."""  # noqa: D300'),
    ],
)
async def test_a_docstring_says_what_it_says(code: str, docstring: str, wanted: str) -> None:
    """Backslashes are what they were meant to be; a comment behind the old one stays."""
    after = await edited("docstring", code, f'def f(a):\n    """{docstring}"""\n    return a\n')
    assert wanted in [line.strip() for line in after.split("\n")]


async def test_a_docstring_beside_other_code() -> None:
    """Whoever asks is told what is in the way."""
    with pytest.raises(EditError, match="the docstring shares its lines with other code"):
        await edited("docstring", 'def f(a):\n    """Old."""; return a$0\n', "")
