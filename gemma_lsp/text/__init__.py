"""Text as the core sees it: '\\n' line ends and code points. UTF-16 and CRLF exist only at the server's edge."""

from gemma_lsp.text.encoding import PositionEncoding, column_from_units, units_from_column
from gemma_lsp.text.lines import Text
from gemma_lsp.text.spans import Edit, Position, Span

__all__ = ["Edit", "Position", "PositionEncoding", "Span", "Text", "column_from_units", "units_from_column"]
