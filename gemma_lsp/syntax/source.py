"""One text as tree-sitter sees it: UTF-8 bytes, with the way back to code points. Lives as long as one parse."""

from __future__ import annotations

from array import array
from functools import cached_property
from itertools import accumulate

from tree_sitter import Node

from gemma_lsp.text import Span, Text

_IS_LEADING = bytes(0 if 0x80 <= byte < 0xC0 else 1 for byte in range(256))


class Source:
    """A text with its bytes. For ASCII text bytes and code points are the same, and nothing is built."""

    def __init__(self, text: Text) -> None:
        self.text = text
        self.data = text.content.encode("utf-8", "surrogatepass")
        self.ascii = len(self.data) == len(text.content)

    @cached_property
    def code_points(self) -> array[int]:
        """Code points before each byte; one more entry than bytes."""
        return array("I", accumulate(self.data.translate(_IS_LEADING), initial=0))

    def offset(self, byte: int) -> int:
        """Code-point offset of a byte that starts a code point."""
        return byte if self.ascii else self.code_points[byte]

    def offsets(self, at: array[int]) -> array[int]:
        """`offset` of many."""
        return at if self.ascii else array("I", map(self.code_points.__getitem__, at))

    def places(self, at: tuple[int, ...]) -> tuple[int, ...]:
        """`offset` of a few."""
        return at if self.ascii else tuple(map(self.code_points.__getitem__, at))

    def between(self, start: int, end: int) -> str:
        """The text from one byte to another."""
        return self.text.content[start:end] if self.ascii else self.data[start:end].decode("utf-8", "surrogatepass")

    def byte(self, offset: int) -> int:
        """The byte that a code point begins at."""
        return offset if self.ascii else len(self.text.content[:offset].encode("utf-8", "surrogatepass"))

    def span(self, node: Node) -> Span:
        """The node's code points."""
        return Span(self.offset(node.start_byte), self.offset(node.end_byte))
