"""Parsing: text in, `ParsedFile` out. It never fails.

A file that is open is read as it is edited: a keystroke reads what it falls into (`reading`).
A `Parser` belongs to one thread; `parse` may be called from any.
"""

from __future__ import annotations

from gemma_lsp.syntax.chunks import prose_chunks
from gemma_lsp.syntax.reading import OpenText, pieces_of
from gemma_lsp.syntax.types import ParsedFile
from gemma_lsp.syntax.whole import file_of
from gemma_lsp.text import Text


def language_of(path: str) -> str:
    """The language that a path says: "python" or "text"."""
    return "python" if path.endswith((".py", ".pyi", ".pyw")) else "text"


def parse(path: str, text: Text) -> ParsedFile:
    """Parses a file from scratch."""
    return file_of(path, text, pieces_of(text)) if language_of(path) == "python" else prose(path, text)


def prose(path: str, text: Text) -> ParsedFile:
    """A file that is not Python."""
    return ParsedFile(path=path, text=text, language="text", chunks=prose_chunks(text))


class OpenTree:
    """A file that is being edited. An update reads the pieces that the edit concerns."""

    def __init__(self, path: str, text: Text) -> None:
        self._path = path
        self._open = OpenText() if language_of(path) == "python" else None
        self.parsed = self._parse(text, None)

    def update(self, text: Text) -> ParsedFile:
        """The file after an edit."""
        if text.content != self.parsed.text.content:
            self.parsed = self._parse(text, self.parsed)
        return self.parsed

    def _parse(self, text: Text, before: ParsedFile | None) -> ParsedFile:
        return (
            prose(self._path, text)
            if self._open is None
            else file_of(self._path, text, self._open.update(text), before)
        )


class Parser:
    """The parsed state of a workspace's open files, by path. One thread at a time."""

    def __init__(self) -> None:
        self._open: dict[str, OpenTree] = {}

    def parse(self, path: str, text: Text) -> ParsedFile:
        """Parses a file: incrementally if it is open, from scratch otherwise."""
        tree = self._open.get(path)
        return tree.update(text) if tree is not None else parse(path, text)

    def open(self, path: str, text: Text) -> ParsedFile:
        """Parses a file and keeps what is known of its pieces until `close`."""
        if path not in self._open:
            self._open[path] = OpenTree(path, text)
        return self._open[path].update(text)

    def close(self, path: str) -> None:
        """Forgets a file's pieces; of a file that is not open, nothing."""
        self._open.pop(path, None)
