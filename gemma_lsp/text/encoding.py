"""Columns in the units that an editor counts (UTF-16, UTF-8 or UTF-32) and back to code points. Pure functions.

Every function clamps: a unit past the line's end is the end, one inside a code point is its beginning.
A lone surrogate counts as the U+FFFD that stands for it: one unit of UTF-16, three bytes of UTF-8.
"""

from __future__ import annotations

from enum import StrEnum


class PositionEncoding(StrEnum):
    """What a column counts; the values are those of the language server protocol."""

    UTF8 = "utf-8"
    UTF16 = "utf-16"
    UTF32 = "utf-32"


def column_from_units(line: str, units: int, encoding: PositionEncoding) -> int:
    """The code-point column that lies `units` into a line."""
    if units <= 0:
        return 0
    if encoding is PositionEncoding.UTF32 or line.isascii():
        return min(units, len(line))
    seen = 0
    for column, character in enumerate(line):
        seen += _width(character, encoding)
        if seen > units:
            return column
    return len(line)


def units_from_column(line: str, column: int, encoding: PositionEncoding) -> int:
    """How many units of a line lie before a code-point column."""
    before = line[: max(0, column)]
    if encoding is PositionEncoding.UTF32 or before.isascii():
        return len(before)
    if encoding is PositionEncoding.UTF16:
        return len(before.encode("utf-16-le", "surrogatepass")) // 2
    return len(before.encode("utf-8", "surrogatepass"))


def _width(character: str, encoding: PositionEncoding) -> int:
    code = ord(character)
    if encoding is PositionEncoding.UTF16:
        return 2 if code > 0xFFFF else 1
    return 1 + (code > 0x7F) + (code > 0x7FF) + (code > 0xFFFF)
