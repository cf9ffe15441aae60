"""Parsing: text in, `ParsedFile` out. It never fails.

A file that parses is read as a whole, any other in pieces, so that an error stays where it is. A file that is open is
always read in pieces, whose facts are kept: a keystroke reads the one that it falls into. No tree is kept at all.
A `Parser` belongs to one thread; `parse` may be called from any.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from gemma_lsp.syntax import grammar
from gemma_lsp.syntax.ahead import Parsed
from gemma_lsp.syntax.chunks import prose_chunks
from gemma_lsp.syntax.facts import Facts, class_of, facts_of, of_members
from gemma_lsp.syntax.pieces import LONG_CLASS, class_name, compared_starts, member_starts, moved_starts
from gemma_lsp.syntax.row import Row, closed, is_open
from gemma_lsp.syntax.source import Source
from gemma_lsp.syntax.types import ParsedFile, SymbolKind
from gemma_lsp.syntax.whole import file_of
from gemma_lsp.text import Text
from gemma_lsp.text.common import common_ends

ReadBehind = Callable[[str, str], Facts]  # of a text with another put before it, what stands in the text

_KNOWN = 64  # pieces that are remembered as they were: what one types is taken back
_CLASSES = 16  # long classes of a file whose members are remembered


def language_of(path: str) -> str:
    """The language that a path says: "python" or "text"."""
    return "python" if path.endswith((".py", ".pyi", ".pyw")) else "text"


def parse(path: str, text: Text, ahead: Parsed | None = None) -> ParsedFile:
    """Parses a file from scratch; `ahead`: what was made of its text already."""
    if language_of(path) != "python":
        return ParsedFile(path=path, text=text, language="text", chunks=prose_chunks(text))
    source = ahead[0] if ahead else Source(text)
    tree = ahead[1] if ahead else grammar.tree_of(source.data)
    if tree.root_node.has_error:
        return OpenTree(path, text).parsed
    return file_of(path, text, (facts_of(source, tree),))


class OpenTree:
    """A file that is being edited. An update reads the pieces that the edit concerns."""

    def __init__(self, path: str, text: Text) -> None:
        self._path = path
        self._row = Row()
        self._starts = [0, 0]
        self._classes: dict[str, OpenClass] = {}  # long ones by their names, the last read last
        self._known: dict[tuple[str, str], Facts] = {}  # the last pieces read, by text and what was put before it
        self._last: ParsedFile | None = None
        self.parsed = self._parse(text, "")

    def update(self, text: Text) -> ParsedFile:
        """The file after an edit."""
        before = self.parsed.text.content
        if text.content != before:
            self.parsed = self._parse(text, before)
        return self.parsed

    def _parse(self, text: Text, before: str) -> ParsedFile:
        if language_of(self._path) != "python":
            return parse(self._path, text)
        content = text.content
        head, tail = text.shared_with(before)
        starts = moved_starts(self._starts, content, len(content) - len(before), head, tail)
        self._starts = starts.offsets
        pieces = self._row.update(content, starts, self._statement) or [self._read("", "")]
        self._last = file_of(self._path, text, pieces, self._last)
        return self._last

    def _statement(self, content: str) -> tuple[Facts, ...]:
        """A statement of the module, a long class as its head and its members."""
        name = class_name(content) if len(content) > LONG_CLASS else ""
        if not name:
            return (self._read("", content),)
        known = self._classes.pop(name, None) or OpenClass(name)
        self._classes[name] = known
        if len(self._classes) > _CLASSES:
            del self._classes[next(iter(self._classes))]
        return known.update(content, self._read) or (self._read("", content),)

    def _read(self, before: str, content: str) -> Facts:
        key = (before, content)
        facts = self._known.get(key)
        if facts is None:
            source = Source(Text(before + content))
            facts = facts_of(source, grammar.tree_of(source.data))
            facts = self._known[key] = of_members(facts, len(before)) if before else facts
            if len(self._known) > _KNOWN:
                del self._known[next(iter(self._known))]
        return facts


class OpenClass:
    """A long class that is being edited: its head and its members."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._row = Row()
        self._content, self._starts = "", [0, 0]

    def update(self, content: str, read: ReadBehind) -> tuple[Facts, ...]:
        """Its pieces after an edit; nothing for a class whose head does not say where its members stand."""
        indent, offsets = member_starts(content)
        if len(offsets) < 3:
            return ()
        # What looks like the first member may stand in the docstring.
        first = closed(content, offsets, 0, lambda piece: (read("", piece),))
        top, begin = first.facts[0], first.length
        scope = next((s for s in top.symbols if s.kind is SymbolKind.CLASS), None)
        if scope is None or scope.name != self._name or begin == len(content) or is_open(top, content, begin):
            return ()
        line = content.rfind("\n", 0, scope.body.start) + 1
        if len(scope.body) and content[line : scope.body.start] != indent:
            return ()
        head, tail = common_ends(self._content, content)
        starts = compared_starts(self._starts, offsets, len(content) - len(self._content), head, tail)
        self._content, self._starts = content, offsets
        return class_of(top, self._row.update(content, starts, partial(self._member, read), begin))

    def _member(self, read: ReadBehind, content: str) -> tuple[Facts, ...]:
        return (read(f"class {self._name}:\n", content),)


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
