"""An immutable text with its line index. Any thread may read it.

A text that was made out of another by an edit knows it: its line index is the other's, moved, and what the two have in
common need not be looked for.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from gemma_lsp.base.digest import digest_text
from gemma_lsp.text.common import common_ends
from gemma_lsp.text.spans import Edit, Position, Span
from gemma_lsp.text.starts import starts_after


@dataclass(frozen=True, slots=True)
class Kept:
    """What a text has of the one that it was made out of: its first `head` and its last `tail` code points."""

    before: str
    head: int
    tail: int


class Text:
    """Immutable content with '\\n' line ends; offsets and columns are code points.

    Invariant: `content` holds no '\\r' and no lone surrogate (`Text.normalised` sees to it).
    """

    def __init__(self, content: str, kept: Kept | None = None) -> None:
        self.content = content
        self._kept = kept

    @classmethod
    def normalised(cls, raw: str) -> Text:
        """The text with CRLF and CR turned into LF and lone surrogates into U+FFFD."""
        if "\r" in raw:
            raw = raw.replace("\r\n", "\n").replace("\r", "\n")
        if not raw.isascii() and has_surrogate(raw):
            raw = raw.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        return cls(raw)

    @cached_property
    def digest(self) -> str:
        """Digest of the whole content."""
        return digest_text(self.content)

    @cached_property
    def line_starts(self) -> Sequence[int]:
        """Offset of the first code point of each line; a text that ends in '\\n' has an empty last line."""
        lengths = map(len, self.content.split("\n"))  # five times as fast as a loop over find()
        starts = list(accumulate(map((1).__add__, lengths), initial=0))
        starts.pop()
        return starts

    @property
    def n_lines(self) -> int:
        """Number of lines, at least 1."""
        return len(self.line_starts)

    def line_span(self, line: int) -> Span:
        """The line without its '\\n'. A line past the end is the empty span at the end."""
        starts = self.line_starts
        if line >= len(starts):
            return Span(len(self.content), len(self.content))
        end = starts[line + 1] - 1 if line + 1 < len(starts) else len(self.content)
        return Span(starts[line], end)

    def line(self, line: int) -> str:
        """The line's text without its '\\n'."""
        return self.slice(self.line_span(line))

    def slice(self, span: Span) -> str:
        """The code points of `span`."""
        return self.content[span.start : span.end]

    def offset(self, position: Position) -> int:
        """Offset of a position; past a line's end it is the line's end, past the last line the text's end."""
        span = self.line_span(max(0, position.line))
        return min(span.start + max(0, position.column), span.end)

    def line_at(self, offset: int) -> int:
        """The line that holds an offset."""
        return bisect_right(self.line_starts, offset) - 1

    def position(self, offset: int) -> Position:
        """Line and column of an offset, clamped to the text."""
        offset = min(max(0, offset), len(self.content))
        line = self.line_at(offset)
        return Position(line, offset - self.line_starts[line])

    def replaced(self, start: int, end: int, new: str, *, through: bool = False) -> Text:
        """The text with other code points from one offset to another; `new` has to be normalised.

        It knows what it has of this text; with `through`, what it has of the text that this one was made out of.
        """
        content = self.content
        head, tail = common_ends(content[start:end], new) if start < end and new else (0, 0)
        kept = Kept(content, start + head, len(content) - end + tail)
        if through and self._kept is not None:
            old = self._kept
            kept = Kept(old.before, min(old.head, kept.head), min(old.tail, kept.tail))
        after = Text(content[:start] + new + content[end:], kept)
        if "line_starts" in self.__dict__:
            after.__dict__["line_starts"] = starts_after(self.line_starts, start, end, new)
        return after

    def shared_with(self, before: str) -> tuple[int, int]:
        """Code points that this text has in common with another at its start, and of what is left at its end; fewer
        than there are where it was made out of the other, which need not be compared then.
        """
        kept = self._kept
        if kept is not None and kept.before is before:
            return kept.head, kept.tail
        return common_ends(before, self.content)

    def with_edits(self, edits: Sequence[Edit]) -> Text:
        """The text after edits whose spans all refer to this text and do not overlap."""
        parts, at = [], 0
        for edit in sorted(edits, key=lambda e: (e.span.start, e.span.end)):  # insertions at one place keep their order
            parts += [self.content[at : edit.span.start], edit.text]
            at = edit.span.end
        return Text("".join(parts) + self.content[at:])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Text) and other.content == self.content

    def __hash__(self) -> int:
        return hash(self.content)

    def __repr__(self) -> str:
        return f"Text({len(self.content)} code points, {self.n_lines} lines)"


def has_surrogate(raw: str) -> bool:
    """Whether a string holds a half of a pair of surrogates, which no encoding can write."""
    try:
        raw.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False
