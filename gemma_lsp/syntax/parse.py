"""Parsing: text in, `ParsedFile` out. It never fails.

Trees are kept for open files only, so that a keystroke re-parses what it touched; no tree leaves this package.
A `Parser` belongs to one thread; `parse` may be called from any.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

from tree_sitter import Node, Tree
from tree_sitter import Parser as TreeSitterParser

from gemma_lsp.syntax import grammar
from gemma_lsp.syntax.chunks import prose_chunks, python_chunks
from gemma_lsp.syntax.source import Source
from gemma_lsp.syntax.symbols import docstring_of, find_imports, find_references, find_symbols
from gemma_lsp.syntax.types import ParsedFile
from gemma_lsp.text import Span, Text

_local = threading.local()


def language_of(path: str) -> str:
    """The language that a path says: "python" or "text"."""
    return "python" if path.endswith((".py", ".pyi", ".pyw")) else "text"


def parse(path: str, text: Text) -> ParsedFile:
    """Parses a file from scratch and keeps no tree."""
    if language_of(path) != "python":
        return ParsedFile(path=path, text=text, language="text", chunks=prose_chunks(text))
    source = Source(text)
    return _facts(path, source, _thread_parser().parse(source.data))


class OpenTree:
    """A file that is being edited: its tree is kept, and an update re-parses what the edit touched."""

    def __init__(self, path: str, text: Text) -> None:
        self._source = Source(text)
        self._tree: Tree | None = None
        self.parsed = self._parse(path, None)

    def update(self, text: Text) -> ParsedFile:
        """The file after an edit, found as what differs from the last text."""
        if text.content == self.parsed.text.content:
            return self.parsed
        old, tree = self._source, self._tree
        self._source = Source(text)
        self.parsed = self._parse(self.parsed.path, _edited(tree, old, self._source) if tree is not None else None)
        return self.parsed

    def _parse(self, path: str, old_tree: Tree | None) -> ParsedFile:
        if language_of(path) != "python":
            return parse(path, self._source.text)
        parser, data = _thread_parser(), self._source.data
        tree = parser.parse(data) if old_tree is None else parser.parse(data, old_tree)
        if old_tree is not None and tree.root_node.has_error:
            tree = parser.parse(data)  # how tree-sitter recovers from an error depends on what it had parsed before
        self._tree = tree
        return _facts(path, self._source, tree)


class Parser:
    """The parsed state of a workspace's open files, by path. One thread at a time."""

    def __init__(self) -> None:
        self._open: dict[str, OpenTree] = {}

    def parse(self, path: str, text: Text) -> ParsedFile:
        """Parses a file: incrementally if it is open, from scratch otherwise."""
        tree = self._open.get(path)
        return tree.update(text) if tree is not None else parse(path, text)

    def open(self, path: str, text: Text) -> ParsedFile:
        """Parses a file and keeps its tree until `close`."""
        if path not in self._open:
            self._open[path] = OpenTree(path, text)
        return self._open[path].update(text)

    def close(self, path: str) -> None:
        """Drops a file's tree; of a file that is not open, nothing."""
        self._open.pop(path, None)


def _thread_parser() -> TreeSitterParser:
    parser: TreeSitterParser | None = getattr(_local, "parser", None)
    if parser is None:
        parser = _local.parser = grammar.new_parser()
    return parser


def _facts(path: str, source: Source, tree: Tree) -> ParsedFile:
    root = tree.root_node
    found = grammar.captures(grammar.FACTS, root)
    symbols = find_symbols(source, found)
    return ParsedFile(
        path=path,
        text=source.text,
        language="python",
        chunks=python_chunks(source.text, symbols, lambda span: _statement_lines(source, root, span)),
        symbols=symbols,
        references=find_references(source, found),
        imports=find_imports(source, found),
        docstring=docstring_of(source, root),
        error_spans=tuple(sorted(source.span(node) for node in _errors(root))),
    )


def _errors(root: Node) -> Iterator[Node]:
    """The outermost nodes that hold what does not parse, or that stand for what is missing."""
    stack = [root]
    while stack:
        node = stack.pop()
        if node.is_error or node.is_missing:
            yield node
        elif node.has_error:
            stack.extend(node.children)


def _statement_lines(source: Source, root: Node, span: Span) -> dict[int, int]:
    """Lines in a span on which a statement begins, with its column in bytes."""
    found = grammar.captures(grammar.STATEMENTS, root, source.byte(span.start), source.byte(span.end))
    lines: dict[int, int] = {}
    for node in found.get("statement", []):
        row, column = node.start_point
        if not source.data[node.start_byte - column : node.start_byte].strip():
            lines[row] = min(column, lines.get(row, column))
    return lines


def _edited(tree: Tree, old: Source, new: Source) -> Tree:
    """A copy of the tree that knows which bytes were replaced."""
    before, after = old.data, new.data
    start = _common_prefix(before, after)
    while start and _continues(before, start) | _continues(after, start):
        start -= 1
    tail = _common_suffix(before, after, min(len(before), len(after)) - start)
    while tail and _continues(before, len(before) - tail):
        tail -= 1
    edited = tree.copy()
    old_end, new_end = len(before) - tail, len(after) - tail
    edited.edit(start, old_end, new_end, old.point(start), old.point(old_end), new.point(new_end))
    return edited


def _continues(data: bytes, at: int) -> bool:
    """Whether a place lies inside a code point."""
    return at < len(data) and 0x80 <= data[at] < 0xC0


def _common_prefix(a: bytes, b: bytes) -> int:
    """Length of the common prefix, by halving: comparing runs of bytes is a memcmp."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _common_suffix(a: bytes, b: bytes, limit: int) -> int:
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        if a[len(a) - middle : len(a) - low] == b[len(b) - middle : len(b) - low]:
            low = middle
        else:
            high = middle - 1
    return low
