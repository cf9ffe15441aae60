"""Positions, ranges and changes in the encoding that was negotiated, against code points inside. Pure.

A position past a line's end is its end, one past the last line the text's end, and one inside a code point the place
before it, as the protocol says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lsprotocol import types

from gemma_lsp.text import Position, PositionEncoding, Span, Text, column_from_units, units_from_column
from gemma_lsp.workspace.mirror import RawChange, RawPosition, RawRange

_KNOWN = {encoding.value: encoding for encoding in PositionEncoding}


def choose_encoding(offered: Sequence[str] | None) -> PositionEncoding:
    """The client's first choice among those we know; UTF-16, which every client can, where it names none."""
    names = [getattr(name, "value", name) for name in offered or ()]
    return next((_KNOWN[name] for name in names if name in _KNOWN), PositionEncoding.UTF16)


@dataclass(frozen=True, slots=True)
class Positions:
    """Converts in one encoding."""

    encoding: PositionEncoding = PositionEncoding.UTF16

    def position(self, text: Text, position: types.Position) -> Position:
        """The core's position of a client's; always inside the text."""
        if position.line >= text.n_lines:
            return text.position(len(text.content))
        return Position(position.line, column_from_units(text.line(position.line), position.character, self.encoding))

    def offset(self, text: Text, position: types.Position) -> int:
        """The offset of a client's position."""
        return text.offset(self.position(text, position))

    def span(self, text: Text, range_: types.Range) -> Span:
        """The span of a client's range; a range that is turned round is read the right way."""
        start, end = sorted((self.offset(text, range_.start), self.offset(text, range_.end)))
        return Span(start, end)

    def to_position(self, text: Text, offset: int) -> types.Position:
        """The client's position of an offset."""
        place = text.position(offset)
        return types.Position(place.line, units_from_column(text.line(place.line), place.column, self.encoding))

    def to_range(self, text: Text, span: Span) -> types.Range:
        """The client's range of a span."""
        return types.Range(self.to_position(text, span.start), self.to_position(text, span.end))


def raw_change(change: types.TextDocumentContentChangeEvent) -> RawChange:
    """A change of a document as the mirror takes it: still in the client's units."""
    if isinstance(change, types.TextDocumentContentChangePartial):
        return RawChange(RawRange(_raw(change.range.start), _raw(change.range.end)), change.text)
    return RawChange(None, change.text)


def _raw(position: types.Position) -> RawPosition:
    return RawPosition(position.line, position.character)
