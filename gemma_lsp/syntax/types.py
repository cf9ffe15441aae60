"""What the syntax layer says about a file: plain data in the vocabulary of the core.

Offsets are code points of the file's `Text`. No tree-sitter object leaves this package.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Symbol:
    """A definition: `span` is the whole of it with its decorators, `body` what stands after the signature."""

    name: str
    qualified: str
    kind: SymbolKind
    span: Span
    name_span: Span
    signature: Span  # from `def` or `class` to the colon, both included; for a variable its line
    body: Span  # the indented block, docstring included; empty for a variable
    docstring: Span | None = None


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
