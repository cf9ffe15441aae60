"""Where a completion ends: after the line, with the block, with the function, or where it meets what already stands.

A pure function of the text so far, so that it may be asked after every token. Only Python's structure is known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from gemma_lsp.syntax.context import CursorContext
from gemma_lsp.syntax.lexical import lexical_state
from gemma_lsp.text import Text

Multiline = Literal["auto", "never", "always"]


class Extent(StrEnum):
    """How much is wanted."""

    LINE = "line"
    BLOCK = "block"
    FUNCTION = "function"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a completion may be. `floor`: the least indentation of a further line; 0 ends at the first blank one.

    `meets`, where it is not empty: the model was asked to fill a gap, and its answer is over where it goes on with
    this text, which stands behind the cursor, or by itself. One that does neither falls back on the extent.
    """

    extent: Extent
    floor: int = 0
    line_before: str = ""  # the cursor's line up to the cursor
    next_line: str = ""  # the first line below that is not blank
    meets: str = ""

    @property
    def stop(self) -> tuple[str, ...]:
        """Texts at which the model may stop by itself."""
        return ("\n",) if self.extent is Extent.LINE and not self.meets else ("\n\n\n",)


def shape_for(
    text: Text, context: CursorContext, offset: int, *, multiline: Multiline, invoked: bool, fills: bool = False
) -> Shape:
    """What is wanted at the cursor. A block of several lines only where one begins, or where it is asked for.

    `fills`: the model sees what stands behind the cursor, so whoever asks it for a completion may get all of a gap.
    """
    position = text.position(offset)
    line_before = text.line(position.line)[: position.column]
    extent, floor = _extent(text, context, line_before, multiline=multiline, invoked=invoked)
    below = (text.line(n) for n in range(position.line + 1, text.n_lines))
    next_line = next((line.rstrip() for line in below if line.strip()), "")
    gap = fills and invoked and multiline != "never"
    meets = opening(text.content[offset:]) if gap else ""
    return Shape(extent=extent, floor=floor, line_before=line_before, next_line=next_line, meets=meets)


def cut(text: str, shape: Shape) -> int | None:
    """Offset at which the completion `text`, as far as it has come, is over; None while it may go on."""
    if shape.meets:
        return _meeting(text, shape)
    if shape.extent is Extent.LINE:
        end = text.find("\n")
        return end if end >= 0 else None
    blank_before = False
    for start, line, complete in _lines(text):
        if start and not line.strip():
            if complete and (shape.floor == 0 or blank_before):
                return start - 1
            blank_before = True
        elif _is_over(text, start, line, complete, shape):
            return max(0, start - 1)
        else:
            blank_before = False
    return None


def final_cut(text: str, shape: Shape, *, ended: bool) -> int | None:
    """The same for all that the model said; `ended`: it was the model that stopped, not a limit."""
    end = cut(text, shape)
    if end is None and shape.meets and not ended:
        return cut(text, replace(shape, meets=""))
    return end


def opening(after: str) -> str:
    """The lines with which a text begins, as few as tell something: a bracket alone would meet any other."""
    lines = after.split("\n")
    openings = ("\n".join(lines[: n + 1]).rstrip() for n in range(len(lines)))
    return next((said for said in openings if tells(said)), "")


def tells(text: str) -> bool:
    """Whether it is no accident if two texts both have this."""
    return len("".join(text.split())) > 1 and any(c.isalnum() for c in text)


def _meeting(text: str, shape: Shape) -> int | None:
    """Where the answer goes on as the suffix does: with all of its opening, or with the whole line below."""
    at = text.find(shape.meets)
    if at >= 0:
        return at
    for start, line, complete in _lines(text):
        if start and complete and line.strip() and line.rstrip() == shape.next_line and not _is_open(text, start):
            return start - 1
    return None


def _extent(
    text: Text, context: CursorContext, line_before: str, *, multiline: Multiline, invoked: bool
) -> tuple[Extent, int]:
    inside = context.mid_line or context.in_string or context.in_comment or context.in_brackets
    if multiline == "never" or inside:
        return Extent.LINE, 0
    if line_before.rstrip().endswith(":"):
        return Extent.BLOCK, _indent(line_before) + 1
    if line_before.strip():
        return Extent.LINE, 0
    enclosing = context.enclosing
    if enclosing and context.empty_body:
        return Extent.FUNCTION, text.position(enclosing.signature.start).column + 1
    if context.block_start or invoked or multiline == "always":
        return Extent.BLOCK, context.indent
    return Extent.LINE, 0


def _lines(text: str) -> Iterator[tuple[int, str, bool]]:
    """Start, content and whether the line end has come, for each line."""
    start = 0
    while (end := text.find("\n", start)) >= 0:
        yield start, text[start:end], True
        start = end + 1
    yield start, text[start:], False


def _is_over(text: str, start: int, line: str, complete: bool, shape: Shape) -> bool:
    """Whether this line no longer belongs to the completion."""
    whole = line if start else shape.line_before + line
    if complete and whole.strip() and whole.rstrip() == shape.next_line:
        return not _is_open(text, start)
    if not start or not line.strip():
        return False
    return _indent(line) < shape.floor and not _is_open(text, start)


def _is_open(text: str, offset: int) -> bool:
    """Whether a bracket or a string that the completion opened is still open there."""
    state = lexical_state(text, offset)
    return state.in_string or state.depth > 0


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" \t"))
