"""Lines of code that begin inside a string: they are its text, and moving them would change it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from gemma_lsp.syntax.lexical import lexical_state
from gemma_lsp.syntax.types import ParsedFile


def string_lines(lines: Sequence[str]) -> list[range]:
    """The runs of lines, counted from 0, that begin inside of a string."""
    content = "\n".join(lines)
    runs: list[range] = []
    at = known = 0  # `known` is outside of strings and brackets: nothing above it needs to be read again
    first = None
    for n, line in enumerate(lines):
        state = lexical_state(content, at, known)
        if state.in_string and first is None:
            first = n
        elif not state.in_string and first is not None:
            runs.append(range(first, n))
            first = None
        if not state.in_string and not state.depth:
            known = at
        at += len(line) + 1
    return [*runs, range(first, len(lines))] if first is not None else runs


def documented_lines(parsed: ParsedFile) -> set[int]:
    """The lines of every docstring: its indentation is no part of what it says."""
    found: set[int] = set()
    for span in (parsed.docstring, *(symbol.docstring for symbol in parsed.symbols)):
        if span is not None:
            found |= set(range(parsed.text.position(span.start).line, parsed.text.position(span.end).line + 1))
    return found
