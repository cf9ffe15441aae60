"""What is certain of a new line before a model is asked: its depth, and the name that the code below waits for.

Said only where the lines around it leave one answer. Pure; any thread.
"""

from __future__ import annotations

import re

from gemma_lsp.generate.missing import beginning_of
from gemma_lsp.syntax.context import CursorContext, indent_unit
from gemma_lsp.syntax.types import ParsedFile
from gemma_lsp.text import Text

_LEAVES = re.compile(r"\s*(?:return|raise|break|continue|pass|\.\.\.)(?!\w)|\s*\S.*:\s*(?:return|raise|\.\.\.)")
_HEADER = re.compile(r":\s*(?:#.*)?\Z")


def certain_beginning(parsed: ParsedFile, context: CursorContext, offset: int) -> str:
    """What the cursor's blank line must begin with and does not yet; "" where nothing is certain."""
    text = parsed.text
    position = text.position(offset)
    line = text.line(position.line)
    if parsed.language != "python" or line.strip() or context.in_string or context.in_comment or context.in_brackets:
        return ""
    certain = certain_indent(parsed, context, offset)
    above, below = _neighbours(text, position.line)
    is_header = len(_space(below)) > len(_space(above)) and not _HEADER.search(above)
    space = certain if certain is not None else min(_space(above), _space(below), key=len)
    # Behind a line that leaves the block, or behind an empty one, what is missing may be the header of another block.
    unreachable = _LEAVES.match(above) is not None and len(space) >= len(_space(above))
    least = 2 if len(space) <= indent_unit(parsed) else 1  # blank lines between functions, and between methods
    apart = all(n >= 0 and not text.line(n).strip() for n in range(position.line - least, position.line))
    missing = "" if unreachable or apart else beginning_of(text.content, position.line, space, header=is_header)
    if not missing and certain is None:
        return ""
    typed = line[: position.column]
    wanted = space + missing
    return wanted[len(typed) :] if wanted.startswith(typed) else ""


def certain_indent(parsed: ParsedFile, context: CursorContext, offset: int) -> str | None:
    """The white space that a statement on the cursor's blank line must have before it; None where there is a choice.

    Under a header with an empty block, one step deeper. Where the line below is deeper than the one above, the missing
    one holds it: one step deeper than a header above, or itself the header of what is below. It goes on with the white
    space of the lines around it, which may be tabs.
    """
    text = parsed.text
    position = text.position(offset)
    inside = context.in_string or context.in_comment or context.in_brackets
    if parsed.language != "python" or inside or text.line(position.line).strip():
        return None
    docstring = context.enclosing.docstring if context.enclosing and context.empty_body else None
    if docstring is not None and context.after_docstring and not text.line(position.line):
        start = text.position(docstring.start)
        lead = text.line(start.line)[: start.column]
        return None if lead.strip() else lead
    unit = indent_unit(parsed)
    if context.block_start:
        typed = text.line(position.line)[: position.column]
        return typed if len(typed) >= context.indent else _below_header(parsed, position.line, context.indent - unit)
    above, below = _neighbours(text, position.line)
    outer, inner = _space(above), _space(below)
    step = len(inner) - len(outer)
    if step <= 0 or not inner.startswith(outer) or above.lstrip().startswith("#"):
        return None
    if _HEADER.search(above):
        return inner[: len(outer) + unit] if step in (unit, 2 * unit) else None
    return inner[:-unit] if step == unit else None


def _below_header(parsed: ParsedFile, line: int, depth: int) -> str:
    """What a block has before it under a header of so much white space, the nearest above the line."""
    text = parsed.text
    lines = (text.line(n) for n in range(line - 1, -1, -1))
    header = next((_space(code) for code in lines if code.strip() and len(_space(code)) == depth), " " * depth)
    tabs = "\t" in header if header else "\n\t" in text.content and indent_unit(parsed) == 1
    return header + ("\t" if tabs else " " * indent_unit(parsed))


def _neighbours(text: Text, line: int) -> tuple[str, str]:
    """The nearest lines above and below that hold something."""
    above = next((content for n in range(line - 1, -1, -1) if (content := text.line(n)).strip()), "")
    below = next((content for n in range(line + 1, text.n_lines) if (content := text.line(n)).strip()), "")
    return above, below


def _space(line: str) -> str:
    return line[: len(line) - len(line.lstrip(" \t"))]
