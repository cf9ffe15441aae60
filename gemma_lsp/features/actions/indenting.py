"""An answer's lines in the indentation of the place where they go: its depth, its unit, its strings unmoved. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from gemma_lsp.features.actions.edits import Unusable
from gemma_lsp.features.actions.strings import documented_lines, string_lines
from gemma_lsp.syntax.lexical import lexical_state
from gemma_lsp.syntax.parse import parse
from gemma_lsp.syntax.types import ParsedFile
from gemma_lsp.text import Text

_STEPS = 2  # that a line goes on with in the unit of the file; more is alignment


def parsed_answer(code: str) -> ParsedFile:
    """An answer's code, parsed on its own."""
    return parse("answer.py", Text.normalised(code))


def indented(lines: Sequence[str], indent: str, unit: str, before: Collection[str] = ()) -> list[str]:
    """Lines moved to an indentation, in steps of `unit`, but for what is the text of a string.

    `before`: lines of strings that are to be changed. Where a model has moved one of them together with the code
    around it, it goes back with it.
    """
    lines = list(lines)
    while lines and not lines[0].strip():
        lines.pop(0)
    if not lines:
        raise Unusable("it holds no code")
    base = space_of(lines[0])
    apart = [line.strip() and not line.startswith(base) for line in lines]
    inside = [line if out else line.removeprefix(base) for line, out in zip(lines, apart, strict=True)]
    in_steps = _in_steps(inside, unit)
    moved = [
        "" if not line.strip() else line if out else indent + step
        for line, out, step in zip(lines, apart, in_steps, strict=True)
    ]
    documented = documented_lines(parsed_answer("\n".join(lines)))
    for run in string_lines(lines):
        text = [n for n in run if n not in documented]
        if sum(moved[n] in before for n in text) <= sum(lines[n] in before for n in text):
            for n in text:
                moved[n] = lines[n]
    return moved


def space_of(line: str) -> str:
    """The white space that a line begins with."""
    return line[: len(line) - len(line.lstrip())]


def step_of(lines: Sequence[str]) -> str:
    """The least that a statement has before it in code that begins at the margin; "" where all are there."""
    return min((space for n in _statements(lines) if (space := space_of(lines[n]))), key=len, default="")


def _in_steps(lines: Sequence[str], unit: str) -> list[str]:
    """Lines of which the first is at the margin, with as many units before each statement as it has of its own.

    What a statement goes on with on further lines moves along. As they are where they follow no unit.
    """
    starts, given = _statements(lines), step_of(lines)
    if not unit or not given or given == unit:
        return list(lines)
    if any(len(space_of(lines[n])) % len(given) or space_of(lines[n]).strip(given[0]) for n in starts):
        return list(lines)
    taken, added = list[str](), ""
    depth = 0
    for n, line in enumerate(lines):
        space = space_of(line)
        if n in starts:
            depth = len(space)
            added = unit * (depth // len(given))
            taken.append(added + line[depth:])
        else:
            taken.append(added + _beyond(space[depth:], given, unit) + line[len(space) :])
    return taken


def _beyond(more: str, given: str, unit: str) -> str:
    """What a line that goes on has before it beyond its statement: a few steps, or what aligns it with a bracket."""
    steps, rest = divmod(len(more), len(given))
    if "\t" in given + unit:
        return unit * steps + " " * rest
    return more if rest or steps > _STEPS else unit * steps


def _statements(lines: Sequence[str]) -> set[int]:
    """The lines, counted from 0, with which a statement begins."""
    content = "\n".join(lines)
    found: set[int] = set()
    at = known = 0  # `known` is outside of strings and brackets: nothing above it needs to be read again
    for n, line in enumerate(lines):
        state = lexical_state(content, at, known)
        if not state.in_string and not state.depth:
            known = at
            if line.strip() and not line.lstrip().startswith("#") and not (n and lines[n - 1].endswith("\\")):
                found.add(n)
        at += len(line) + 1
    return found
