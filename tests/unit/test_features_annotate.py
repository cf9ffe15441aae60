"""'Add type annotations': what is taken of an answer, and where Python could not evaluate it."""

from __future__ import annotations

import pytest

from gemma_lsp.base.errors import EditError
from tests.unit.test_features_rewriting import edited

CHECKING = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from x import Y\n"
FUTURE = "from __future__ import annotations\n"
CLASS = "class A:\n    def f(self, other):$0\n        return other\n"


async def annotated(code: str, signature: str) -> str:
    return await edited("annotate", code, signature)


@pytest.mark.parametrize(
    ("code", "signature", "wanted"),
    [
        (CLASS, "def f(self, other: A) -> A | None:\n", 'def f(self, other: "A") -> "A | None":'),
        (FUTURE + CLASS, "def f(self, other: A) -> A:\n", "def f(self, other: A) -> A:"),
        (CLASS, 'def f(self, other: "A") -> list["A"]:\n', 'def f(self, other: "A") -> list["A"]:'),
        ("def f(a):$0\n    return a\n\n\nclass B:\n    pass\n", "def f(a: B) -> int:\n", 'def f(a: "B") -> int:'),
        ("class B:\n    pass\n\n\ndef f(a):$0\n    return a\n", "def f(a: B) -> B:\n", "def f(a: B) -> B:"),
        (f"{CHECKING}def f(a):$0\n    return a\n", "def f(a: Y, ) -> int:\n", 'def f(a: "Y", ) -> int:'),
        (
            "def g():\n    import os\ndef f(a):$0\n    return a\n",
            "def f(a: os.X) -> int:\n",
            'def f(a: "os.X") -> int:',
        ),
        (
            "def g():\n    def f(a):$0\n        return a\n    return f\nclass B:\n    pass\n",
            "def f(a: B) -> B:\n",
            "def f(a: B) -> B:",
        ),
        ("from x import *\ndef f(a: X, b):$0\n    return a\n", "def f(a: X, b: X) -> X:\n", "def f(a: X, b: X) -> X:"),
        (
            "try:\n    import os\nexcept E:\n    os = None\ndef f(a):$0\n    return a\n",
            "def f(a: os.X) -> int:\n",
            "def f(a: os.X) -> int:",
        ),
        (
            "from t import Literal\nö = 1\nclass A:\n    def f(s, ö):$0\n        return ö\n",
            "def f(s, ö: Literal['ä', 'b c']) -> A:\n",
            "def f(s, ö: Literal['ä', 'b c']) -> \"A\":",
        ),
        (
            "def f(\n    a,  # one\n):$0\n    return a\n",
            "def f(\n    a: int,  # one\n) -> int:\n",
            "    a: int,  # one",
        ),
    ],
)
async def test_the_file_can_still_be_imported(code: str, signature: str, wanted: str) -> None:
    """What has no name yet where Python evaluates it stands in quotes."""
    assert wanted in [
        line.strip() if wanted[0] != " " else line for line in (await annotated(code, signature)).split("\n")
    ]


@pytest.mark.parametrize(
    ("code", "signature", "complaint"),
    [
        ("def f(a: str, b):$0\n    return a\n", "def f(a: int, b: int) -> str:\n", "an annotation that stands there"),
        ("def f(a, b) -> str:$0\n    return a\n", "def f(a: int, b: int) -> int:\n", "an annotation that stands there"),
        ("def f(a, /, *, b):$0\n    return a\n", "def f(a: int, b: int) -> int:\n", "how a parameter is given"),
        ("def f(a, b=1):$0\n    return a\n", "def f(a: int, b: int) -> int:\n", "parameters are not those"),
        ("def f(\n    a,  # one\n):$0\n    return a\n", "def f(\n    a: int,\n) -> int:\n", "the comment `# one`"),
        ("def f(a):$0\n    return a\n", "def f(a: 'list[int') -> int:\n", r"`list\[int` is not defined"),
    ],
)
async def test_what_stands_there_stays(code: str, signature: str, complaint: str) -> None:
    """Only what is missing is added."""
    with pytest.raises(EditError, match=complaint):
        await annotated(code, signature)
