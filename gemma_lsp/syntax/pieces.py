"""Where a Python file falls into pieces that can be parsed apart: statements of the module, members of long classes.

A piece begins where a statement certainly does, whatever its neighbours hold; so an edit, or a quote that was opened
and not closed yet, concerns one piece. Pure; any thread. Whether a place is inside a string is asked only where a piece
does not parse: one that does ends outside of strings and brackets, and so the next one begins outside of them.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

from gemma_lsp.syntax.lexical import closing

LONG_CLASS = 2_000
"""Code points above which a class is cut into its members (guessed)."""

_EVENTS = 400  # strings and brackets that are looked through for the end of an open one; some 2 ms
_DEFINITION = r"(?:async[ \t]+)?def\b|class\b"
_AT_MARGIN = re.compile(
    rf"\n(?:(?P<decorator>@)|(?P<definition>{_DEFINITION})|"
    rf"(?P<compound>(?:async|for|if|match|try|while|with)\b)|(?!(?:else|elif|except|finally)\b|[bBfFrRtTuU]{{1,2}}['\"])\w)"
)
_MEMBER = re.compile(rf"\n([ \t]+)(?:@\w|{_DEFINITION})")
_WORD = re.compile(r"\w")
_NOT_IN_BRACKETS = re.compile(rf"[ \t]*(?:@|{_DEFINITION})")
_IS_CLASS = re.compile(r"(?:@[^\n]*\n|#[^\n]*\n|[ \t][^\n]*\n|[)\]}][^\n]*\n|\n)*class[ \t]+(\w+)")


def statement_starts(content: str) -> list[int]:
    """Offsets at which pieces of a module may begin: 0, then each definition with its decorators and comments, each
    compound statement, and each other one that does not follow one on the line before; last the end.
    Some may be inside strings or brackets.
    """
    return [0, *(start for start in _starts(content, 0) if start), len(content)]


@dataclass(frozen=True, slots=True)
class Starts:
    """Where pieces may begin. Those up to `kept` are as they were before an edit, those from `moved` on moved `by`."""

    offsets: list[int]
    kept: int
    moved: int
    by: int


def moved_starts(starts: list[int], content: str, by: int, head: int, tail: int) -> Starts:
    """`statement_starts` of a text, found out of those of one that was `by` shorter and began and ended with the same
    `head` and `tail` code points, by looking at what lies between.
    """
    at = max(0, bisect_left(starts, head) - 2)  # the line before the edit may be a comment of what follows it
    found, kept = starts[: at + 1], starts[at]
    for start in _starts(content, kept):
        known = bisect_left(starts, start - by)
        if start > len(content) - tail + 1 and known < len(starts) - 1 and starts[known] == start - by:
            return Starts([*found, *map(by.__add__, starts[known:])], kept, start, by)
        if start > found[-1]:
            found.append(start)
    return Starts([*found, len(content)], kept, len(content) + 1, by)


def compared_starts(before: list[int], offsets: list[int], by: int, head: int, tail: int) -> Starts:
    """The same for starts that were found anew: which of those before an edit are where they were, or moved."""
    kept = 0
    for old, new in zip(before[:-1], offsets[:-1], strict=False):
        if old != new or new > head:
            break
        kept = new
    moved, first = offsets[-1] + 1, offsets[-1] - tail
    for old, new in zip(reversed(before), reversed(offsets), strict=False):
        if old + by != new or new < first:
            break
        moved = new
    return Starts(offsets, kept, moved, by)


def _starts(content: str, begin: int) -> Iterator[int]:
    """Starts from one that is known on."""
    decorated = begin == 0 and content.startswith("@")
    for match in _AT_MARGIN.finditer(content, max(0, begin - 1)):
        start, kind = match.start() + 1, match.lastgroup
        if decorated:
            decorated = kind != "definition"
            continue
        first = _with_comments(content, start, "")
        if kind is None and (not first or _WORD.match(content, content.rfind("\n", 0, first - 1) + 1)):
            continue
        decorated = kind == "decorator"
        yield first


def class_name(piece: str) -> str:
    """The name of the class that a piece is, "" where it is another statement."""
    match = _IS_CLASS.match(piece)
    return match.group(1) if match else ""


def member_starts(piece: str) -> tuple[str, list[int]]:
    """The members' indentation, and offsets at which pieces of a class may begin: 0, then each member; last the end."""
    indent = min((match.group(1) for match in _MEMBER.finditer(piece)), key=len, default="")
    starts, decorated = [0], False
    if not indent:
        return indent, [0, len(piece)]
    for match in re.finditer(rf"\n{indent}(?:(?P<decorator>@\w)|{_DEFINITION})", piece):
        start, is_decorator = match.start() + 1, match.lastgroup is not None
        if not decorated:
            start = _with_comments(piece, start, indent)
            if start > starts[-1]:
                starts.append(start)
        decorated = is_decorator
    return indent, [*starts, len(piece)]


def piece_end(content: str, starts: list[int], begin: int, end: int) -> tuple[int | None, int]:
    """The next of the starts outside of the string or the bracket that opens behind `begin` and is open at `end`; and
    how far one had to look for it.
    """
    closed, seen = closing(content, begin, end, _EVENTS)
    return (None if closed is None else starts[bisect_left(starts, max(closed, end + 1))]), seen


def is_definition(content: str, start: int) -> bool:
    """Whether a definition or its decorator stands at an offset, which no bracket can hold."""
    return _NOT_IN_BRACKETS.match(content, start) is not None


def _with_comments(content: str, start: int, indent: str) -> int:
    """The start of the comment lines directly above a line, at its own indentation."""
    mark = indent + "#"
    while start > 0:
        above = content.rfind("\n", 0, start - 1) + 1
        if not content.startswith(mark, above):
            break
        start = above
    return start
