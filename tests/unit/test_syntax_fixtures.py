"""What the syntax layer says about small pieces of code, as text: tests/fixtures_text/syntax/*.txt.

A case is a line `=== sentence`, code with an optional `$0` for the cursor, and the expected lines after `---`.
`GEMMA_LSP_REGENERATE=1` writes what the code says now into the files; read the diff before believing it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from gemma_lsp.syntax.context import cursor_context
from gemma_lsp.syntax.parse import parse
from gemma_lsp.syntax.skeleton import map_line, skeleton
from gemma_lsp.syntax.types import SymbolKind
from gemma_lsp.text import Text

FIXTURES = Path(__file__).parents[1] / "fixtures_text/syntax"


@dataclass(frozen=True)
class Case:
    sentence: str
    code: str
    expected: str


def describe_context(code: str) -> str:
    """The facts that hold at the cursor, the indentation, and the definition around it."""
    before, _, after = code.partition("$0")
    text = Text(before + after)
    context = cursor_context(parse("a.py", text), text.position(len(before)))
    flags = ["mid_line", "in_string", "in_comment", "in_brackets", "block_start", "empty_body", "after_docstring"]
    facts = " ".join(flag for flag in flags if getattr(context, flag))
    return f"facts: {facts}\nindent: {context.indent}\nin: {context.enclosing.qualified if context.enclosing else ''}\n"


def describe_chunks(code: str) -> str:
    """Each chunk with its first and last line, and the symbols of the file."""
    parsed = parse("a.py", Text(code))
    lines = []
    for chunk in parsed.chunks:
        first, last = (parsed.text.position(at).line + 1 for at in (chunk.span.start, chunk.span.end - 1))
        lines.append(f"{first}-{last} {chunk.kind} {chunk.symbol}".rstrip())
    names = [f"{symbol.kind} {symbol.qualified}" for symbol in parsed.symbols if symbol.kind != SymbolKind.VARIABLE]
    return "".join(f"{line}\n" for line in lines) + f"symbols: {', '.join(names)}\n"


def describe_skeleton(code: str) -> str:
    """The short forms one after the other, and the line of names."""
    parsed = parse("a.py", Text(code))
    return "".join(skeleton(parsed)) + f"=> {map_line(parsed)}\n"


DESCRIBE: dict[str, Callable[[str], str]] = {
    "context": describe_context,
    "chunks": describe_chunks,
    "skeleton": describe_skeleton,
}


def read_cases(kind: str) -> list[Case]:
    content = (FIXTURES / f"{kind}.txt").read_text("utf-8")
    cases = []
    for part in re.split(r"(?m)^=== ", content)[1:]:
        sentence, _, rest = part.partition("\n")
        code, _, expected = rest.partition("---\n")
        cases.append(Case(sentence, code, expected))
    return cases


def regenerated(kind: str) -> list[Case]:
    cases = [Case(case.sentence, case.code, DESCRIBE[kind](case.code)) for case in read_cases(kind)]
    if os.environ.get("GEMMA_LSP_REGENERATE"):
        text = "".join(f"=== {case.sentence}\n{case.code}---\n{case.expected}" for case in cases)
        (FIXTURES / f"{kind}.txt").write_text(text, "utf-8")
    return cases


@pytest.mark.parametrize("kind", DESCRIBE)
def test_code_is_described_as_the_fixture_says(kind: str) -> None:
    """Each case of the fixture file comes out as it is written there."""
    now = regenerated(kind)
    assert now == read_cases(kind)
    assert len(now) > 2
