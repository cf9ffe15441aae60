"""What the syntax layer says about a file: plain data in the vocabulary of the core.

Offsets are code points of the file's `Text`. No tree-sitter object leaves this package.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from gemma_lsp.text import Span, Text


class ChunkKind(StrEnum):
    """What a chunk holds."""

    HEAD = "head"  # module docstring, imports and what stands before the first definition
    CLASS_HEAD = "class"  # the class line, its docstring and what stands before the first method
    FUNCTION = "function"
    METHOD = "method"
    STATEMENTS = "statements"  # code between and after definitions; its symbol is the class around it, if any
    PROSE = "prose"  # README, TOML and whatever is not Python


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A run of whole lines that is tokenised on its own. A file's chunks tile it: in order, no gap, no overlap."""

    kind: ChunkKind
    symbol: str  # qualified name inside the module ("Parcel.volume"), "" where there is none
    span: Span


class SymbolKind(StrEnum):
    """What a symbol names."""

    CLASS = "class"
    FUNCTION = "function"
    METHOD = "method"
    VARIABLE = "variable"


class Symbol(NamedTuple):
    """A definition. Its places are kept as numbers: a repository has many symbols, and five spans each would cost more
    than finding them.
    """

    name: str
    qualified: str
    kind: SymbolKind
    places: tuple[int, ...]
    """Starts and ends: of the whole, the name, the signature and the body, and of the docstring if there is one."""

    @property
    def start(self) -> int:
        """Where the whole of it begins."""
        return self.places[0]

    @property
    def span(self) -> Span:
        """The whole of it, with its decorators."""
        return Span(*self.places[0:2])

    @property
    def name_span(self) -> Span:
        """Its name, where it is defined."""
        return Span(*self.places[2:4])

    @property
    def signature(self) -> Span:
        """From `def` or `class` to the colon, both included; for a variable its line."""
        return Span(*self.places[4:6])

    @property
    def body(self) -> Span:
        """What stands after the signature: the indented block, docstring included; empty for a variable."""
        return Span(*self.places[6:8])

    @property
    def docstring(self) -> Span | None:
        """The string that the body begins with."""
        return Span(*self.places[8:10]) if len(self.places) > 8 else None


@dataclass(frozen=True, slots=True)
class Reference:
    """A use of a name (an identifier or the last part of an attribute).

    Not a use: where the name is defined or bound (assignment, parameter, loop), an import, a keyword of a call.
    """

    name: str
    span: Span
    is_call: bool


@dataclass(frozen=True, slots=True)
class Import:
    """One imported module as written ("..rates" keeps its dots) and the names taken from it (() for `import x`)."""

    module: str
    names: tuple[str, ...]
    span: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedFile:
    """A file's text with everything that the rest of the product asks about it. Parsing never fails."""

    path: str  # relative to the workspace folder, '/' as separator
    text: Text
    language: str  # "python" | "text"
    chunks: Sequence[Chunk]  # in order, as is everything; of an open file made when first asked for
    symbols: Sequence[Symbol] = ()
    references: Sequence[Reference] = ()
    imports: Sequence[Import] = ()
    docstring: Span | None = None  # of the module
    error_spans: Sequence[Span] = ()  # where tree-sitter had to guess
