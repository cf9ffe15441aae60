"""Parsing: text in, `ParsedFile` out. It never fails.

A file that parses is read as a whole, any other in pieces, so that an error stays where it is. A file that is open is
always read in pieces, whose facts are kept: a keystroke reads the one that it falls into. No tree is kept at all.
A `Parser` belongs to one thread; `parse` may be called from any.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator

from gemma_lsp.syntax import grammar
from gemma_lsp.syntax.chunks import prose_chunks
from gemma_lsp.syntax.facts import Facts, class_of, facts_of, file_of, of_members
from gemma_lsp.syntax.pieces import (
    LONG_CLASS,
    class_name,
    is_definition,
    member_starts,
    moved_starts,
    piece_end,
    statement_starts,
)
from gemma_lsp.syntax.source import Source
from gemma_lsp.syntax.types import ParsedFile, SymbolKind
from gemma_lsp.text import Text

_HOPS = 32  # strings and brackets in a row that hold what looks like statements
_GENERATION = 200  # updates after which pieces that were not met again are forgotten
Read = Callable[[str], tuple[Facts, ...]]


def language_of(path: str) -> str:
    """The language that a path says: "python" or "text"."""
    return "python" if path.endswith((".py", ".pyi", ".pyw")) else "text"


def parse(path: str, text: Text) -> ParsedFile:
    """Parses a file from scratch."""
    if language_of(path) != "python":
        return ParsedFile(path=path, text=text, language="text", chunks=prose_chunks(text))
    source = Source(text)
    tree = grammar.tree_of(source.data)
    if tree.root_node.has_error:
        return OpenTree(path, text).parsed
    return file_of(path, text, (facts_of(source, tree),))


class OpenTree:
    """A file that is being edited. An update reads the pieces that it has not read before."""

    def __init__(self, path: str, text: Text) -> None:
        self._path = path
        self._facts: dict[tuple[str, str], Facts] = {}  # by the text and the line of the class that stands before it
        self._older: dict[tuple[str, str], Facts] = {}
        self._classes: dict[str, tuple[Facts, ...]] = {}
        self._wholes: dict[str, str] = {}  # of a piece that is open at its end, that with what closes it
        self._starts: list[int] | None = None
        self._n_updates = 0
        self.parsed = self._parse(text)

    def update(self, text: Text) -> ParsedFile:
        """The file after an edit."""
        if text.content != self.parsed.text.content:
            self.parsed = self._parse(text)
        return self.parsed

    def _parse(self, text: Text) -> ParsedFile:
        if language_of(self._path) != "python":
            return parse(self._path, text)
        self._n_updates += 1
        if self._n_updates % _GENERATION == 0:
            self._older, self._facts, self._classes, self._wholes = self._facts, {}, {}, {}
        content = text.content
        if self._starts is None:
            self._starts = statement_starts(content)
        else:
            self._starts = moved_starts(self.parsed.text.content, self._starts, content)
        return file_of(self._path, text, tuple(self._pieces(content, self._starts)))

    def _pieces(self, content: str, starts: list[int]) -> Iterator[Facts]:
        end = 0
        while True:
            found, end = _closed(content, starts, end, self._statement, self._wholes)
            yield from found
            if end == len(content):
                return

    def _statement(self, content: str) -> tuple[Facts, ...]:
        """A statement of the module, a long class as its head and its members."""
        name = class_name(content) if len(content) > LONG_CLASS else ""
        if not name:
            return (self._read("", content),)
        if content not in self._classes:
            self._classes[content] = self._class(content, name) or (self._read("", content),)
        return self._classes[content]

    def _class(self, content: str, name: str) -> tuple[Facts, ...]:
        """Nothing for a class whose head does not say where its members stand."""
        indent, starts = member_starts(content)
        if len(starts) < 3:
            return ()
        head = self._read("", content[: starts[1]])
        scope = next((s for s in head.symbols if s.kind is SymbolKind.CLASS), None)
        if head.errors or scope is None or scope.name != name:
            return ()
        line = content.rfind("\n", 0, scope.body.start) + 1
        if len(scope.body) and content[line : scope.body.start] != indent:
            return ()
        members: list[Facts] = []

        def member_facts(member: str) -> tuple[Facts, ...]:
            return (self._read(f"class {name}:\n", member),)

        end = starts[1]
        while end < len(content):
            found, end = _closed(content, starts, end, member_facts, self._wholes)
            members += found
        return class_of(head, members)

    def _read(self, before: str, content: str) -> Facts:
        key = (before, content)
        facts = self._facts.get(key) or self._older.get(key)
        if facts is None:
            source = Source(Text(before + content))
            facts = facts_of(source, grammar.tree_of(source.data))
            facts = of_members(facts, len(before)) if before else facts
        self._facts[key] = facts
        return facts


def _closed(
    content: str, starts: list[int], start: int, read: Read, wholes: dict[str, str]
) -> tuple[tuple[Facts, ...], int]:
    """The piece that begins at one of the starts, with what belongs to a string or a bracket that is open at its end;
    without it if nothing closes that. And where the piece ends. `wholes` remembers such pieces.
    """
    end = starts[bisect_right(starts, start)] if start < starts[-1] else start
    piece, own = content[start:end], end
    known = wholes.get(piece)
    if known is not None and content.startswith(known, start) and _is_start(starts, start + len(known)):
        return read(known), start + len(known)
    first = found = read(piece)
    for _ in range(_HOPS):
        if not _is_open(found[-1], content, end):
            if end > own and not (found[-1].in_string or found[-1].in_brackets):
                wholes[piece] = content[start:end]
            return found, end
        behind = piece_end(content, starts, end - found[-1].length, end)
        if behind is None:
            break
        found, end = read(content[start:behind]), behind
    return first, own


def _is_start(starts: list[int], offset: int) -> bool:
    at = bisect_left(starts, offset)
    return at < len(starts) and starts[at] == offset


def _is_open(facts: Facts, content: str, end: int) -> bool:
    """Whether what stands at `end` may belong to a string or a bracket that the piece before it opened."""
    return end < len(content) and (facts.in_string or (facts.in_brackets and not is_definition(content, end)))


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
