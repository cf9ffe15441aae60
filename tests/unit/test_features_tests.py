"""'Write a test for this function': where it goes, what goes with it, and what is not taken."""

from __future__ import annotations

import pytest

from gemma_lsp.base.errors import EditError
from gemma_lsp.features.actions import ExplainRequest, edit_action, run_action
from gemma_lsp.features.actions.imports import import_edit
from gemma_lsp.features.actions.places import module_of, path_of_tests
from gemma_lsp.syntax.index import build
from gemma_lsp.syntax.parse import parse
from gemma_lsp.text import Span, Text
from gemma_lsp.workspace.snapshot import WorkspaceSnapshot
from tests.support.feature_cases import Case, context_for
from tests.support.scripted import Asked, ScriptedEngine, scripted_model

ONE = "x = 1\n"
PACKAGES = {"a/__init__.py": "", "a/utils.py": ONE, "b/__init__.py": "", "b/utils.py": ONE}
DEEP = {"pkg/api/utils.py": ONE, "pkg/db/utils.py": ONE}
OF_B, OF_DB = "from b.utils import x\n", "from pkg.db.utils import x\n"


@pytest.mark.parametrize(
    ("files", "path", "expected"),
    [
        ({"shop/rates.py": ONE}, "shop/rates.py", "tests/test_rates.py"),
        ({"rates.py": ONE, "test/unit/test_a.py": ""}, "rates.py", "test/unit/test_rates.py"),
        ({"a/rates.py": ONE, "a/test_rates.py": "", "b/test_rates.py": ""}, "a/rates.py", "a/test_rates.py"),
        ({"rates.py": ONE, "rates_test.py": ""}, "rates.py", "rates_test.py"),
        ({"shop/__init__.py": ONE}, "shop/__init__.py", "tests/test_shop.py"),
        ({"_x.py": ONE, "test_y.py": ""}, "_x.py", "test_x.py"),
        # a file of that name that is another module's
        ({**PACKAGES, "tests/b/test_utils.py": OF_B}, "a/utils.py", "tests/a/test_a_utils.py"),
        ({**PACKAGES, "tests/b/test_utils.py": OF_B, "tests/b/__init__.py": ""}, "a/utils.py", "tests/a/test_utils.py"),
        ({**PACKAGES, "tests/test_utils.py": OF_B}, "a/utils.py", "tests/test_a_utils.py"),
        ({**PACKAGES, "tests/test_utils.py": "from b import utils\n"}, "b/utils.py", "tests/test_utils.py"),
        ({**PACKAGES, "tests/b/test_utils.py": ""}, "b/utils.py", "tests/b/test_utils.py"),
        ({**DEEP, "pkg/db/test_utils.py": OF_DB}, "pkg/api/utils.py", "pkg/api/test_api_utils.py"),
        ({**DEEP, "tests/db/test_utils.py": OF_DB}, "pkg/api/utils.py", "tests/api/test_api_utils.py"),
        ({**DEEP, "tests/db/test_utils.py": ""}, "pkg/db/utils.py", "tests/db/test_utils.py"),
        # what was made before is found again
        ({**PACKAGES, "tests/test_a_utils.py": "import a.utils\n"}, "a/utils.py", "tests/test_a_utils.py"),
        # the only module of that name, imported by its package
        ({"shop/x/rates.py": ONE, "tests/test_rates.py": "import shop\n"}, "shop/x/rates.py", "tests/test_rates.py"),
        # several projects in one repository
        ({"packages/foo/src/foo/bar.py": ONE}, "packages/foo/src/foo/bar.py", "packages/foo/tests/test_bar.py"),
        (
            {
                "one/src/one/bar.py": ONE,
                "one/tests/test_x.py": "",
                "two/tests/test_y.py": "",
                "two/tests/test_z.py": "",
            },
            "one/src/one/bar.py",
            "one/tests/test_bar.py",
        ),
        ({"shop/rates.py": ONE, "tests/functional/test_a.py": ""}, "shop/rates.py", "tests/functional/test_rates.py"),
        ({"src/shop/rates.py": ONE, "tests/shop/test_a.py": ""}, "src/shop/rates.py", "tests/shop/test_rates.py"),
    ],
)
def test_where_tests_go(files: dict[str, str], path: str, expected: str) -> None:
    """Into the file that is about the module, else beside the other tests, by pytest's names."""
    texts = {name: Text(content) for name, content in files.items()}
    assert path_of_tests(build(WorkspaceSnapshot(root=None, name="w", files=texts)), path) == expected


@pytest.mark.parametrize(
    ("path", "packages", "module"),
    [
        ("src/a/b.py", (), "a.b"),
        ("a/__init__.py", (), "a"),
        ("b.py", (), "b"),
        ("src.py", (), "src"),
        ("packages/foo/src/foo/bar.py", (), "foo.bar"),
        ("packages/foo/foo/bar.py", ("packages/foo/foo/__init__.py",), "foo.bar"),
        ("src/b.py", ("src/__init__.py",), "src.b"),
    ],
)
def test_modules(path: str, packages: tuple[str, ...], module: str) -> None:
    """As they are imported."""
    assert module_of(path, packages) == module


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("import os\n\nx = 1\n", "import os\nNEW\n\nx = 1\n"),
        (
            "import os\ntry:\n    import a\nexcept E:\n    a = 1\n",
            "import os\nNEW\ntry:\n    import a\nexcept E:\n    a = 1\n",
        ),
        ("if x:\n    import a\ny = 1\n", "NEW\n\n\nif x:\n    import a\ny = 1\n"),
        ('"""Doc."""\n\ndef f():\n    pass\n', '"""Doc."""\n\nNEW\n\ndef f():\n    pass\n'),
        (
            '"""Doc."""\nfrom __future__ import annotations\nx = 1\n',
            '"""Doc."""\nfrom __future__ import annotations\nNEW\nx = 1\n',
        ),
        (
            "#!/usr/bin/python\n# coding: utf-8\ndef f(): pass\n",
            "#!/usr/bin/python\n# coding: utf-8\n\nNEW\n\n\ndef f(): pass\n",
        ),
        ("def f():\n    import a\n", "NEW\n\n\ndef f():\n    import a\n"),
        ("import os", "import os\nNEW\n"),
        ("def f(): pass\nimport late\n", "NEW\n\n\ndef f(): pass\nimport late\n"),
    ],
)
def test_where_an_import_goes(before: str, after: str) -> None:
    """To the margin, below what must stand first, and above all code that may use it."""
    existing = parse("tests/test_a.py", Text(before))
    assert existing.text.with_edits([import_edit(existing, ["NEW"])]).content == after


RATES = "shop/rates.py"
TESTS = "tests/test_rates.py"
AGE = """from datetime import date

from .days import Day


def age(day):
    return day.year$0


class Rate:
    pass
"""
COROUTINE = "async def age(day):\n    return day.year$0\n"


async def written(answer: str, *, code: str = AGE, tests: str | None = None, others: str = "") -> str:
    """The file of the tests if the model goes on from its own first lines with the rest of this answer."""
    at = code.index("$0")
    files = {RATES: code.replace("$0", ""), "shop/__init__.py": "", "shop/days.py": "class Day:\n    pass\n"}
    files |= {"tests/test_other.py": others, **({TESTS: tests} if tests is not None else {})}

    def said(asked: Asked) -> str:
        opening = asked.text.rpartition("```python\n")[2].rpartition("\n")[2]
        assert opening in answer
        return answer.partition(opening)[2] + "```"

    case = Case(name="", source="", files=files, path=RATES, offset=at)
    ctx = context_for(case, ScriptedEngine(said, model=scripted_model("chat"), piece=50))
    action = edit_action("test")
    assert action is not None
    proposal = await run_action(ctx, action, ExplainRequest(path=RATES, span=Span(at, at)), lambda text: None)
    assert proposal.path == TESTS
    compile(proposal.after.content, TESTS, "exec")
    return proposal.after.content


IMPORT = "from shop.rates import age\n"
STANDING = "import pytest\n\n\ndef test_x():\n    assert 1\n"
HELPED = """def test_age(day):
    assert age(day) == age(Year(2020)) == YEAR


# what a day needs
class Year:
    def __init__(self, year):
        self.year = year


@pytest.fixture
def day():
    return Year(YEAR)


YEAR = 2020


def unused():
    return 1


print(YEAR)
"""


@pytest.mark.parametrize("tests", [None, "", STANDING])
async def test_helpers_go_along(tests: str | None) -> None:
    """What a test uses, by name or as a fixture, and what that uses; nothing else."""
    standing = STANDING.replace("pytest\n", f"pytest\n{IMPORT}", 1) if tests else f"import pytest\n\n{IMPORT}"
    kept = HELPED.partition("\n\n\ndef unused")[0]
    wanted = "\n\n\n".join(part.strip("\n") for part in kept.split("\n\n\n"))
    assert await written(HELPED, tests=tests) == f"{standing}\n\n{wanted}\n"


@pytest.mark.parametrize(
    ("used", "line"),
    [
        ("date(2020, 1, 1)", "from datetime import date"),  # the module imports it
        ("Day()", "from shop.days import Day"),  # the module imports it, by a dot
        ("math.pi", "import math"),
        ("Rate()", "from shop.rates import Rate, age"),  # the module defines it
        ("pytest.approx(1)", "import pytest"),
    ],
)
async def test_what_an_answer_forgot_to_import(used: str, line: str) -> None:
    """It is found where the tested module has it."""
    after = await written(f"def test_age():\n    assert age({used}) == 1\n")
    assert line in after.split("\n")


async def test_imports_of_the_answer_that_it_uses() -> None:
    """Once, and only where the file lacks them."""
    answer = (
        "def test_age():\n    assert age(of(DAY)) == 2020\n\n\n"
        "import pytest, sys\nfrom time import gmtime as of\nDAY = 1\nfrom .rates import age\n"
    )
    wanted = STANDING.replace("pytest\n", f"pytest\nfrom time import gmtime as of\n{IMPORT}", 1)
    code = "def test_age():\n    assert age(of(DAY)) == 2020\n\n\nDAY = 1\n"
    assert await written(answer, tests=STANDING) == f"{wanted}\n\n{code}"


TEST = "def test_age():\n    assert age(1) == 2\n"


@pytest.mark.parametrize(
    ("answer", "tests", "others", "complaint"),
    [
        ("def test_age():\n    assert age(Unknown()) == 1\n", None, "", "`Unknown` is not defined"),
        ("def test_age():\n    assert 1 == 1\n", None, "", "does not use `age`"),
        (f"{TEST}async def test_more():\n    assert age(1) == 2\n", None, "", "without a plugin"),
        ("def test_age(client):\n    assert age(client) == 1\n", None, "", "`client` is a parameter of a test"),
        (f"{TEST}class TestAge:\n    def test_a(self, a):\n        assert age(a)\n", None, "", "`a` is a parameter"),
        (
            "def test_age():\n    assert age(YEAR)\n\n\nYEAR = 1\n",
            f"{IMPORT}YEAR = 2\n",
            "",
            "`YEAR` is something else",
        ),
        (TEST, "def age():\n    pass\n\n\nfrom shop import rates\n", "", "`age` is something else"),
        (TEST, "from shop import rates\nfrom other import age\n", "", "`age` is something else"),
    ],
)
async def test_what_is_not_taken(answer: str, tests: str | None, others: str, complaint: str) -> None:
    """What could not run, or would test something else."""
    with pytest.raises(EditError, match=complaint):
        await written(answer, tests=tests, others=others)


@pytest.mark.parametrize(
    ("answer", "others"),
    [
        ("def test_age(tmp_path):\n    assert age(tmp_path)\n", ""),
        ("def test_age(day=1):\n    assert age(day)\n", ""),
        ("def test_age(db):\n    assert age(db)\n", "import pytest\n\n@pytest.fixture()\ndef db():\n    return 1\n"),
        ("def test_age(db):\n    assert age(db)\n", "@pytest.fixture(name='db')\ndef _db():\n    return 1\n"),
        ("def test_age(mocker):\n    assert age(mocker)\n", "def test_y(a, mocker):\n    pass\n"),
        (f"{TEST}@pytest.mark.parametrize('a, b', [(1, 2)])\ndef test_b(a, b):\n    assert age(a) == b\n", ""),
        (
            f"{TEST}@pytest.mark.parametrize(['a'], [(1,)])\nclass TestA:\n    def test_b(self, a):\n        age(a)\n",
            "",
        ),
        (f"{TEST}from x import given\n\n\n@given(1)\ndef test_b(a):\n    assert age(a)\n", ""),
    ],
)
async def test_what_pytest_hands_to_tests(answer: str, others: str) -> None:
    """Its own fixtures, those of the workspace, what is taken elsewhere, and what a decorator says."""
    assert await written(answer, others=others)


async def test_a_file_that_imports_it_already() -> None:
    """From its module or its package; a helper that stands there is not written again."""
    for line in (IMPORT, "from shop import age\n"):
        tests = f"import shop.rates\n{line}\nYEAR = 1\n"
        assert await written("def test_age():\n    assert age(YEAR) == 2\n\n\nYEAR = 1\n", tests=tests) == (
            f"{tests}\n\ndef test_age():\n    assert age(YEAR) == 2\n"
        )


async def test_tests_stand_above_what_runs_them() -> None:
    """A file that can be run as a program stays one."""
    main = 'if __name__ == "__main__":\n    pytest.main()\n'
    wanted = STANDING.replace("pytest\n", f"pytest\n{IMPORT}", 1)
    assert await written(TEST, tests=f"{STANDING}\n\n{main}") == f"{wanted}\n\n{TEST}\n\n{main}"


async def test_a_coroutine_function_is_run() -> None:
    """With what Python has: which plugins there are is not known."""
    answer = "def test_age():\n    assert asyncio.run(age(1)) == 2\n"
    assert await written(answer, code=COROUTINE) == f"import asyncio\n\n{IMPORT}\n\n{answer}"
    assert await written(answer, code=COROUTINE, tests=STANDING) == (
        STANDING.replace("import pytest\n", f"import pytest\nimport asyncio\n{IMPORT}") + f"\n\n{answer}"
    )
    with pytest.raises(EditError, match="`age` is a coroutine function"):
        await written(TEST, code=COROUTINE)


async def test_coroutines_where_tests_are_coroutines() -> None:
    """There is a plugin."""
    answer = "def test_age():\n    assert asyncio.run(age(1))\n\n\nasync def test_more():\n    assert await age(2)\n"
    assert "async def test_more" in await written(answer, code=COROUTINE, others="async def test_y():\n    pass\n")
