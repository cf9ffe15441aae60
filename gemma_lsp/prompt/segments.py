"""The prompt as a list of segments: the unit of tokenisation, of reuse and of cost."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from gemma_lsp.base.digest import digest_text


class Region(StrEnum):
    """Where in the log-structured prompt a segment stands; regions follow each other in this order."""

    PREAMBLE = "preamble"
    BODY = "body"
    ERRATA = "errata"
    HOLE = "hole"
    REQUEST = "request"


@dataclass(frozen=True)
class Segment:
    """Text that is tokenised on its own; the prompt is the concatenation of its segments' tokens.

    `special` says whether markers such as `<|turn>` in the text are tokens; it is never true for repository text.
    `shown` are the parts of the text that are to be seen, as offsets in order; None: all of it. A segment keeps its
    name and its tokens whatever is shown of it, so that a line can go out of sight without anything being read again.
    """

    region: Region
    text: str
    special: bool = False
    shown: tuple[tuple[int, int], ...] | None = None

    @cached_property
    def key(self) -> str:
        """Content address: what the engine caches tokens by."""
        return digest_text(("s" if self.special else "t") + self.text)

    @property
    def visible(self) -> str:
        """The text that is shown."""
        return self.text if self.shown is None else "".join(self.text[start:stop] for start, stop in self.shown)

    @property
    def shown_bytes(self) -> tuple[tuple[int, int], ...] | None:
        """`shown` as offsets in the text's UTF-8."""
        if self.shown is None or self.text.isascii():
            return self.shown
        return tuple((len(self.text[:a].encode()), len(self.text[:b].encode())) for a, b in self.shown)


Prompt = tuple[Segment, ...]
