"""The Python grammar and the queries that are run over its trees. Constant after import; any thread may use it."""

from __future__ import annotations

import threading

import tree_sitter_python
from tree_sitter import Language, Node, Parser, Query, QueryCursor, Tree

LANGUAGE = Language(tree_sitter_python.language())

FACTS = Query(
    LANGUAGE,
    """
    (function_definition) @function
    (class_definition) @class
    (decorated_definition) @decorated
    (expression_statement (assignment left: (identifier))) @variable
    (type_alias_statement left: (type (identifier))) @variable
    [(import_statement) (import_from_statement) (future_import_statement)] @import

    (identifier) @name
    (call function: [(identifier) @call (attribute attribute: (identifier) @call)])
    (function_definition name: (identifier) @bound)
    (class_definition name: (identifier) @bound)
    (type_alias_statement left: (type (identifier) @bound))
    (parameters (identifier) @bound)
    (lambda_parameters (identifier) @bound)
    (typed_parameter . (identifier) @bound)
    (default_parameter name: (identifier) @bound)
    (typed_default_parameter name: (identifier) @bound)
    (list_splat_pattern (identifier) @bound)
    (dictionary_splat_pattern (identifier) @bound)
    (keyword_argument name: (identifier) @bound)
    (assignment left: (identifier) @bound)
    (named_expression name: (identifier) @bound)
    (for_statement left: (identifier) @bound)
    (for_in_clause left: (identifier) @bound)
    (pattern_list (identifier) @bound)
    (tuple_pattern (identifier) @bound)
    (as_pattern_target (identifier) @bound)
    """,
)
"""Everything in one query: each run costs a traversal of the whole tree, whatever it looks for. Where a variable stands
is not asked of it: patterns that have to be followed through a whole module or class cost a fifth more.
"""

STATEMENTS = Query(LANGUAGE, "(module (_) @statement) (block (_) @statement)")


_local = threading.local()


def tree_of(data: bytes) -> Tree:
    """Parses UTF-8 with this thread's parser. The last tree is kept: a long piece is asked for twice in a row."""
    last: tuple[bytes, Tree] | None = getattr(_local, "last", None)
    if last and last[0] == data:
        return last[1]
    parser: Parser | None = getattr(_local, "parser", None)
    if parser is None:
        parser = _local.parser = Parser(LANGUAGE)
    tree = parser.parse(data)
    _local.last = (data, tree)
    return tree


def captures(query: Query, node: Node) -> dict[str, list[Node]]:
    """The nodes that each capture names, in no order to rely on."""
    return QueryCursor(query).captures(node)


def statement_lines_of(content: str) -> dict[int, int]:
    """Lines on which a statement begins, with its column in bytes: the smaller, the further out it stands."""
    data = content.encode("utf-8", "surrogatepass")
    return statement_lines(data, tree_of(data).root_node, 0, len(data))


def statement_lines(data: bytes, root: Node, start: int, end: int) -> dict[int, int]:
    """The same between two bytes of a text, the first at a line's start; counted from that line."""
    cursor = QueryCursor(STATEMENTS)
    cursor.set_byte_range(start, end)
    lines: dict[int, int] = {}
    for node in cursor.captures(root).get("statement", []):
        row, column = node.start_point
        begin = node.start_byte
        further_out = start <= begin < end and column < lines.get(row, column + 1)
        if further_out and not data[begin - column : begin].strip():
            lines[row] = column
    first = data.count(b"\n", 0, start)
    return {row - first: column for row, column in lines.items()}
