"""What the text means: chunks, symbols, references, skeletons and order. The only package that imports tree_sitter."""

from gemma_lsp.syntax.index import Index
from gemma_lsp.syntax.parse import OpenTree, Parser, parse
from gemma_lsp.syntax.types import Chunk, ChunkKind, Import, ParsedFile, Reference, Symbol, SymbolKind

__all__ = [
    "Chunk",
    "ChunkKind",
    "Import",
    "Index",
    "OpenTree",
    "ParsedFile",
    "Parser",
    "Reference",
    "Symbol",
    "SymbolKind",
    "parse",
]
