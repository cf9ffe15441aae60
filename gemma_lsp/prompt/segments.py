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
    """

    region: Region
    text: str
    special: bool = False

    @cached_property
    def key(self) -> str:
        """Content address: what the engine caches tokens by."""
        return digest_text(("s" if self.special else "t") + self.text)


Prompt = tuple[Segment, ...]
