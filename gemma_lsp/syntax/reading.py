"""What stands in a text, piece by piece (`Facts`). Reading never fails; for one thread at a time.

A text that parses is read as a whole, any other in pieces, so that an error stays where it is. One that is being edited
is always read in pieces, whose facts are kept: an edit reads those that it falls into. No tree is kept at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from tree_sitter import Tree

from gemma_lsp.syntax import grammar
from gemma_lsp.syntax.chunks import split_long
from gemma_lsp.syntax.facts import Facts, class_of, facts_of, of_members
from gemma_lsp.syntax.pieces import LONG_CLASS, class_name, compared_starts, member_starts, moved_starts
from gemma_lsp.syntax.row import Row, closed, is_open
from gemma_lsp.syntax.source import Source
from gemma_lsp.syntax.types import SymbolKind
from gemma_lsp.text import Span, Text
from gemma_lsp.text.common import common_ends

ReadBehind = Callable[[str, str], Facts]  # of a text with another put before it, what stands in the text

_KNOWN = 64  # pieces that are remembered as they were: what one types is taken back
_CLASSES = 16  # long classes of a text whose members are remembered


def pieces_of(text: Text) -> tuple[Facts, ...]:
    """What stands in a text that nobody edits. One that is read as a whole has its long chunks split already."""
    source = Source(text)
    tree = grammar.tree_of(source.data)
    if tree.root_node.has_error:
        return tuple(OpenText().update(text))
    facts = facts_of(source, tree)
    lines_of = partial(_statement_lines, source, tree)
    return (replace(facts, runs=tuple(split_long(text, facts.runs, lines_of))),)


def _statement_lines(source: Source, tree: Tree, span: Span) -> dict[int, int]:
    return grammar.statement_lines(source.data, tree.root_node, source.byte(span.start), source.byte(span.end))


class OpenText:
    """A text that is being edited; nothing at first."""

    def __init__(self) -> None:
        self._row = Row()
        self._content, self._starts = "", [0, 0]
        self._classes: dict[str, OpenClass] = {}  # long ones by their names, the last read last
        self._known: dict[tuple[str, str], Facts] = {}  # the last pieces read, by text and what was put before it

    def update(self, text: Text) -> list[Facts]:
        """What stands in it after an edit."""
        content, by = text.content, len(text.content) - len(self._content)
        head, tail = text.shared_with(self._content)
        starts = moved_starts(self._starts, content, by, head, tail)
        self._content, self._starts = content, starts.offsets
        return self._row.update(content, starts, self._statement) or [self._read("", "")]

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
