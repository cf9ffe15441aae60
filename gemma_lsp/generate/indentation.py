"""How deep a new line must stand, where the lines around it leave one answer only. Pure; any thread."""

from __future__ import annotations

import re

from gemma_lsp.syntax.context import CursorContext, indent_unit
from gemma_lsp.syntax.types import ParsedFile

_HEADER = re.compile(r":\s*(?:#.*)?\Z")


def certain_indent(parsed: ParsedFile, context: CursorContext, offset: int) -> int | None:
    """Code points of indentation that a statement on the cursor's blank line must have; None where there is a choice.

    Under a header with an empty block, one step deeper. Where the line below is deeper than the one above, the missing
    one holds it: one step deeper than a header above, or itself the header of what is below.
    """
    text = parsed.text
    at = text.position(offset).line
    inside = context.in_string or context.in_comment or context.in_brackets
    if parsed.language != "python" or inside or text.line(at).strip():
        return None
    if context.block_start:
        return context.indent
    above = next((line for n in range(at - 1, -1, -1) if (line := text.line(n)).strip()), "")
    below = next((line for n in range(at + 1, text.n_lines) if (line := text.line(n)).strip()), "")
    step = _indent(below) - _indent(above)
    if step <= 0 or above.lstrip().startswith("#"):
        return None
    unit = indent_unit(parsed)
    if _HEADER.search(above):
        return _indent(above) + unit if step in (unit, 2 * unit) else None
    return _indent(below) - unit if step == unit else None


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
