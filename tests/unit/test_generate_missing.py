"""Which name the code below a blank line waits for."""

from __future__ import annotations

import pytest

from gemma_lsp.generate.missing import MAX_CHARS, beginning_of


def beginning_at(code: str) -> str:
    before, _, after = code.partition("$0")
    line = before.rpartition("\n")[2]
    return beginning_of(before + after, before.count("\n"), line)


@pytest.mark.parametrize(
    ("code", "beginning"),
    [
        ("def f(a):\n    $0\n    return total\n", "total"),
        ("def f(a):\n    b = 1\n    $0\n    return a + b + c + d\n", "c"),
        ("def f(a):\n    $0\n    while i < 3:\n        i += 1\n", "i"),
        (
            "def f(a):\n    $0\n    for x in a:\n        if best is None:\n            best = x\n    return best\n",
            "best",
        ),
        ("def f(a):\n    $0\n    return math.sqrt(a)\n", "import math"),
        ("def f(a):\n    $0\n    return client.get(a)\n", "client"),
        ("def f(a):\n    $0\n    return helper(a)\n", ""),
        ("def f(a):\n    $0\n    return os.path.join(a, os.sep)\n", "import os"),
        ("def f(a):\n    $0\n    return decimal.Decimal(a)\n", "import decimal"),
        ("def f(a):\n    $0\n    return email.message.Message(a)\n", "import email"),
        ("def f(a):\n    $0\n    return email.lower()\n", "email"),
        ("def f(a):\n    $0\n    return time.hour\n", "time"),
        ("def f(a):\n    $0\n    for x in a:\n        queue.append(x)\n    return queue\n", "queue"),
        ("def f(a):\n    $0\n    for x in a:\n        total += x\n    return total\n", "total"),
        ("def f(a):\n    $0\n    total = 0\n    total += a\n    return total\n", ""),
        ("def f(a):\n    $0\n    x: Unknown = a\n    return x\n", ""),
        ("class A:\n    def f(self):\n        $0\n        return __class__\n", ""),
        ("def f(a):\n    $0\n    return a\n", ""),
        ("def f(a):\n    $0\n    return [x for x in a if x]\n", ""),
        ("def f(a):\n    $0\n    return [y for x in a for y in x if (z := y)]\n", ""),
        ("def f(a):\n    $0\n    return lambda x: x + unknown\n", ""),
        ("def f(a):\n    $0\n    x = 1\n    return x\n", ""),
        ("def f(a):\n    $0\n    with open(a) as b:\n        return b\n", ""),
        ("def f(a):\n    $0\n    try:\n        go()\n    except ValueError as e:\n        return e\n", ""),
        ("def f(a, *args, key=None, **more):\n    $0\n    return args, key, more\n", ""),
        ("def f(a):\n    $0\n    import os\n    return os\n", ""),
        ("def f(a):\n    $0\n    def g():\n        return 1\n    return g\n", ""),
        ("def f(a):\n    $0\n    global seen\n    return seen\n", ""),
        ("def f(a):\n    $0\n    match a:\n        case [b, *c]:\n            return b, c\n", ""),
        ("def f(a):\n    def g():\n        $0\n        return later\n    later = 1\n    return g\n", ""),
        ("def f(a):\n    $0\n    return LATER\n\n\nLATER = 1\n", ""),
        ("from x import *\n\n\ndef f(a):\n    $0\n    return total\n", ""),
        ("$0\nprint(total)\n", ""),
        ("def f(a):\n    $0\n    return (\n", ""),
    ],
)
def test_the_first_name_that_nobody_set(code: str, beginning: str) -> None:
    """Read below, set nowhere that could be meant; a function that is called may stand anywhere."""
    assert beginning_at(code) == beginning


def test_a_header_defines_what_is_called() -> None:
    """The block that hangs in the air is the body of the function that nobody defined."""
    code = "def f(a):\n{}\n        return x + 1\n    return {}(a)\n"
    assert beginning_of(code.format("", "step"), 1, "    ", header=True) == "def step("
    assert beginning_of(code.format("", "len"), 1, "    ", header=True) == ""


def test_a_huge_file_is_left_alone() -> None:
    """It would hold the next key up."""
    assert beginning_at("def f(a):\n    $0\n    return total\n" + "#" * MAX_CHARS) == ""
