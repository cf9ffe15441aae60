"""The Python grammar and the queries that are run over its trees. Constant after import; any thread may use it."""

from __future__ import annotations

import tree_sitter_python
from tree_sitter import Language, Node, Parser, Query, QueryCursor

LANGUAGE = Language(tree_sitter_python.language())

FACTS = Query(
    LANGUAGE,
    """
    (function_definition) @function
    (class_definition) @class
    (decorated_definition) @decorated
    (module [
      (expression_statement (assignment left: (identifier) @variable))
      (type_alias_statement left: (type (identifier) @variable))] @assigned)
    (class_definition body: (block [
      (expression_statement (assignment left: (identifier) @variable))
      (type_alias_statement left: (type (identifier) @variable))] @assigned))
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
"""Everything in one query: each run costs a traversal of the whole tree, whatever it looks for."""

STATEMENTS = Query(LANGUAGE, "(module (_) @statement) (block (_) @statement)")


def new_parser() -> Parser:
    """A parser for one thread's use."""
    return Parser(LANGUAGE)


def captures(query: Query, node: Node, start_byte: int = 0, end_byte: int | None = None) -> dict[str, list[Node]]:
    """The nodes that each capture names, in no order to rely on; of those that touch the bytes, if given."""
    cursor = QueryCursor(query)
    if end_byte is not None:
        cursor.set_byte_range(start_byte, end_byte)
    return cursor.captures(node)
