"""Symbols, references and imports out of the captures of one tree. Pure; never fails, whatever the tree."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import compress
from operator import attrgetter

from tree_sitter import Node

from gemma_lsp.syntax.references import Places
from gemma_lsp.syntax.source import Source
from gemma_lsp.syntax.types import Import, Symbol, SymbolKind
from gemma_lsp.text import Span

Captured = dict[str, list[Node]]
_start, _end = attrgetter("start_byte"), attrgetter("end_byte")


def find_symbols(source: Source, found: Captured) -> tuple[Symbol, ...]:
    """Definitions in source order: classes, functions (nested ones too) and the variables of modules and classes."""
    classes = found.get("class", [])
    events = [(node.start_byte, node, True) for node in classes]
    events += [(node.start_byte, node, True) for node in found.get("function", [])]
    events += [(node.start_byte, node, False) for node in found.get("variable", [])]
    events.sort(key=lambda event: event[0])
    class_starts = {node.start_byte for node in classes}
    decorated = _decorated_starts(found)
    statements = _Statements(found.get("assigned", []))
    open_scopes: list[tuple[int, Symbol]] = []  # end byte and symbol of each definition around
    seen: set[str] = set()
    symbols: list[Symbol] = []
    for start, node, is_definition in events:
        while open_scopes and open_scopes[-1][0] <= start:
            open_scopes.pop()
        parent = open_scopes[-1][1] if open_scopes else None
        if not is_definition:
            variable = _variable(source, node, parent, statements)
            if variable.qualified not in seen:
                seen.add(variable.qualified)
                symbols.append(variable)
            continue
        symbol = _definition(source, node, parent, start in class_starts, decorated.get(start, start))
        if symbol is not None:
            symbols.append(symbol)
            open_scopes.append((node.end_byte, symbol))
    return tuple(symbols)


def find_references(source: Source, found: Captured) -> Places:
    """The uses of names in source order."""
    names = sorted(found.get("name", []), key=_start)
    starts = list(map(_start, names))
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
    if block is None or not block.named_child_count:
        return None
    child: Node | None = block.named_child(0)
    while child is not None and child.type == "comment":
        child = child.next_named_sibling
    if child is None or child.type != "expression_statement" or child.named_child_count != 1:
        return None
    string = child.named_child(0)
    is_string = string is not None and string.type in ("string", "concatenated_string")
    return source.span(string) if string is not None and is_string else None


class _Statements:
    """The statement around each assigned variable."""

    def __init__(self, nodes: list[Node]) -> None:
        self._nodes = sorted(nodes, key=_start)
        self._starts = [node.start_byte for node in self._nodes]

    def around(self, node: Node) -> Node:
        at = bisect_right(self._starts, node.start_byte) - 1
        return self._nodes[at] if at >= 0 and self._nodes[at].end_byte >= node.end_byte else node


def _decorated_starts(found: Captured) -> dict[int, int]:
    starts = {}
    for node in found.get("decorated", []):
        definition = node.child_by_field_name("definition")
        if definition is not None:
            starts[definition.start_byte] = node.start_byte
    return starts


def _variable(source: Source, node: Node, parent: Symbol | None, statements: _Statements) -> Symbol:
    span, name_span = source.span(statements.around(node)), source.span(node)
    name = source.text.slice(name_span)
    line_end = source.text.content.find("\n", span.start, span.end)
    return Symbol(
        name=name,
        qualified=f"{parent.qualified}.{name}" if parent else name,
        kind=SymbolKind.VARIABLE,
        span=span,
        name_span=name_span,
        signature=Span(span.start, line_end if line_end >= 0 else span.end),
        body=Span(span.end, span.end),
    )


def _definition(source: Source, node: Node, parent: Symbol | None, is_class: bool, first_byte: int) -> Symbol | None:
    name_node = node.child_by_field_name("name")
    if name_node is None or name_node.start_byte == name_node.end_byte:
        return None
    block = node.child_by_field_name("body")
    name_span, whole = source.span(name_node), source.span(node)
    name = source.text.slice(name_span)
    in_class = parent is not None and parent.kind is SymbolKind.CLASS
    function = SymbolKind.METHOD if in_class else SymbolKind.FUNCTION
    return Symbol(
        name=name,
        qualified=f"{parent.qualified}.{name}" if parent else name,
        kind=SymbolKind.CLASS if is_class else function,
        span=Span(source.offset(first_byte), whole.end),
        name_span=name_span,
        signature=Span(whole.start, source.offset(_colon_end(node, block))),
        body=source.span(block) if block is not None else Span(whole.end, whole.end),
        docstring=docstring_of(source, block),
    )


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
