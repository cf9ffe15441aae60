"""Symbols, references and imports out of the captures of one tree. Pure; never fails, whatever the tree."""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from functools import cached_property
from itertools import compress
from operator import attrgetter, itemgetter, le

from tree_sitter import Node

from gemma_lsp.syntax.references import Places
from gemma_lsp.syntax.source import Source
from gemma_lsp.syntax.types import Import, Symbol, SymbolKind
from gemma_lsp.text import Span

Captured = dict[str, list[Node]]
_start, _end = attrgetter("start_byte"), attrgetter("end_byte")
_DEEPEST = 1000  # columns that are looked at for whether a line begins there: a file may be one line
_MAY_BE_STRING = re.compile(rb"""\s*(#|[bBfFrRuU]{0,2}["'])""")


def find_symbols(source: Source, root: Node, found: Captured) -> tuple[Symbol, ...]:
    """Definitions in source order: classes, functions (nested ones too) and the variables of modules and classes."""
    classes = found.get("class", [])
    events = [(node.start_byte, node, True) for node in classes]
    events += [(node.start_byte, node, True) for node in found.get("function", [])]
    events += [(node.start_byte, node, False) for node in found.get("variable", [])]
    events.sort(key=itemgetter(0))
    class_starts = {node.start_byte for node in classes}
    decorated = _decorated_starts(found)
    scope = _Scope(len(source.data) + 1, None, root, 0)
    around: list[_Scope] = []  # the scopes around this one
    seen: set[str] = set()
    symbols: list[Symbol] = []
    for start, node, is_definition in events:
        while scope.end <= start:
            scope = around.pop()
        if is_definition:
            block = node.child_by_field_name("body")
            is_class = start in class_starts
            symbol = _definition(source, node, block, scope.symbol, is_class, decorated.get(start, start))
            if symbol is not None:
                symbols.append(symbol)
                around.append(scope)
                scope = _class_scope(source, node, block, symbol) if is_class else _Scope(node.end_byte, symbol)
        elif scope.has_directly(source, node):
            variable = _variable(source, node, scope.symbol)
            if variable is not None and variable.qualified not in seen:
                seen.add(variable.qualified)
                symbols.append(variable)
    return tuple(symbols)


class _Scope:
    """The module, a class or a function, up to a byte. Without a `body` it has no variables that are of interest."""

    def __init__(self, end: int, symbol: Symbol | None, body: Node | None = None, column: int | None = None) -> None:
        self.end, self.symbol = end, symbol
        self._body, self._column = body, column  # of what stands directly in the body, where that is plain

    def has_directly(self, source: Source, statement: Node) -> bool:
        """Whether a statement belongs to the module or class, and not to an `if` or a loop in it."""
        if self._body is None:
            return False
        start, column = statement.start_byte, statement.start_point[1]
        indented = column <= _DEEPEST and not source.data[start - column : start].strip()
        return column == self._column if indented and self._column is not None else start in self._statements

    @cached_property
    def _statements(self) -> frozenset[int]:
        """Where the statements of the body begin: seldom needed, and then for all of them at once."""
        return frozenset(child.start_byte for child in self._body.children) if self._body is not None else frozenset()


def _class_scope(source: Source, node: Node, block: Node | None, symbol: Symbol) -> _Scope:
    if block is None:
        return _Scope(node.end_byte, symbol)
    is_comment = source.data.startswith(b"#", block.start_byte)  # it may stand at any column
    return _Scope(node.end_byte, symbol, block, None if is_comment else block.start_point[1])


def find_references(source: Source, found: Captured) -> Places:
    """The uses of names in source order."""
    names = found.get("name", [])
    starts = list(map(_start, names))
    if not all(map(le, starts, starts[1:])):
        names = sorted(names, key=_start)
        starts.sort()
    bound = set(map(_start, found.get("bound", [])))
    calls = set(map(_start, found.get("call", [])))
    for statement in found.get("import", []):
        bound.update(starts[bisect_left(starts, statement.start_byte) : bisect_left(starts, statement.end_byte)])
    used = [start not in bound for start in starts]
    firsts = array("I", compress(starts, used))
    return Places(
        source.offsets(firsts),
        source.offsets(array("I", map(_end, compress(names, used)))),
        bytes(map(calls.__contains__, firsts)),
    )


def find_imports(source: Source, found: Captured) -> tuple[Import, ...]:
    """Imported modules in source order, wherever in the file they stand."""
    statements = sorted(found.get("import", []), key=_start)
    return tuple(imported for node in statements for imported in _imports(source, node))


def docstring_of(source: Source, block: Node | None) -> Span | None:
    """The string that is a block's first statement."""
    string = _docstring_node(source, block)
    return source.span(string) if string is not None else None


def _docstring_node(source: Source, block: Node | None) -> Node | None:
    if block is None or not _MAY_BE_STRING.match(source.data, block.start_byte) or not block.named_child_count:
        return None
    child: Node | None = block.named_child(0)
    while child is not None and child.type == "comment":
        child = child.next_named_sibling
    if child is None or child.type != "expression_statement" or child.named_child_count != 1:
        return None
    string = child.named_child(0)
    return string if string is not None and string.type in ("string", "concatenated_string") else None


def _decorated_starts(found: Captured) -> dict[int, int]:
    starts = {}
    for node in found.get("decorated", []):
        definition = node.child_by_field_name("definition")
        if definition is not None:
            starts[definition.start_byte] = node.start_byte
    return starts


def _variable(source: Source, statement: Node, parent: Symbol | None) -> Symbol | None:
    assigned: Node | None = statement
    if statement.type == "expression_statement":
        assigned = next((child for child in statement.named_children if child.type == "assignment"), None)
    left = assigned.child_by_field_name("left") if assigned is not None else None
    node = left.named_child(0) if left is not None and left.type == "type" else left  # one of an alias, or of a name
    if node is None:
        return None
    start, end = statement.start_byte, statement.end_byte
    name_start, name_end = node.start_byte, node.end_byte
    line_end = source.data.find(b"\n", start, end)
    name = source.between(name_start, name_end)
    places = (start, end, name_start, name_end, start, line_end if line_end >= 0 else end, end, end)
    return _symbol(name, parent, SymbolKind.VARIABLE, source.places(places))


def _definition(
    source: Source, node: Node, block: Node | None, parent: Symbol | None, is_class: bool, first_byte: int
) -> Symbol | None:
    name_node = node.child_by_field_name("name")
    if name_node is None:
        return None
    name_start, name_end = name_node.start_byte, name_node.end_byte
    if name_start == name_end:
        return None
    end = node.end_byte
    body = (block.start_byte, block.end_byte) if block is not None else (end, end)
    places: tuple[int, ...] = (first_byte, end, name_start, name_end, node.start_byte, _colon_end(node, block), *body)
    string = _docstring_node(source, block)
    if string is not None:
        places = (*places, string.start_byte, string.end_byte)
    in_class = parent is not None and parent.kind is SymbolKind.CLASS
    kind = SymbolKind.CLASS if is_class else SymbolKind.METHOD if in_class else SymbolKind.FUNCTION
    return _symbol(source.between(name_start, name_end), parent, kind, source.places(places))


def _symbol(name: str, parent: Symbol | None, kind: SymbolKind, places: tuple[int, ...]) -> Symbol:
    return Symbol(name, f"{parent.qualified}.{name}" if parent else name, kind, places)


def _colon_end(node: Node, block: Node | None) -> int:
    limit = block.start_byte if block is not None else node.end_byte
    before = block.prev_sibling if block is not None else None
    if before is not None and before.type == ":":
        return before.end_byte
    for child in reversed(node.children):
        if child.type == ":" and child.end_byte <= limit:
            return child.end_byte
    return limit


def _imports(source: Source, node: Node) -> Iterator[Import]:
    span = source.span(node)
    names = [_imported_name(source, child) for child in node.children_by_field_name("name")]
    if node.type == "import_statement":
        yield from (Import(name, (), span) for name in names)
        return
    if any(child.type == "wildcard_import" for child in node.named_children):
        names.append("*")
    module = node.child_by_field_name("module_name")
    yield Import("__future__" if module is None else _squeezed(source, module), tuple(names), span)


def _imported_name(source: Source, node: Node) -> str:
    target = node.child_by_field_name("name") if node.type == "aliased_import" else node
    return _squeezed(source, target or node)


def _squeezed(source: Source, node: Node) -> str:
    return "".join(source.text.slice(source.span(node)).split())
