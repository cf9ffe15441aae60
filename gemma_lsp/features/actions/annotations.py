"""Names in annotations: which there are, which have a meaning where they stand, and quotes for those without. Pure."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Collection, Iterator, Sequence

from gemma_lsp.features.actions.definitions import function_of
from gemma_lsp.features.actions.edits import Unusable
from gemma_lsp.features.actions.imports import blocks_of

_WORDS = frozenset({"Literal", "Annotated"})  # what stands in their brackets may be text
_END = 1 << 60
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def annotation_names(signature: str) -> set[str]:
    """The names that the annotations of a signature use; of what stands in quotes that which is no expression."""
    return {name for node in _annotations(signature) for name in _names(node)}


def quoted(signature: str, content: str, line: int, known: Collection[str] = ()) -> str:
    """The signature with quotes around each annotation that Python could not evaluate on its line, from 0, of a file.

    The class that it is a method of has no name yet, nor has what is defined below or imported for type checkers
    alone. Raises `Unusable` where quotes cannot help.
    """
    try:
        body = ast.parse(content).body
    except (SyntaxError, ValueError, RecursionError):
        return signature
    if any(isinstance(n, ast.ImportFrom) and n.module == "__future__" and _imports_annotations(n) for n in body):
        return signature
    bound, lines = {*known, *dir(builtins), *_bound(body, line + 1)}, signature.split("\n")
    nodes = [node for node in _annotations(signature) if not bound.issuperset(_names(node))]
    for node in sorted(nodes, key=lambda node: (node.lineno, node.col_offset), reverse=True):
        n, said = node.lineno - 1, ast.get_source_segment(f"{signature} pass", node) or ""
        if "\n" in said or ("'" in said and '"' in said):
            raise Unusable(f"`{min(set(_names(node)) - bound)}` has no meaning there yet; put the annotation in quotes")
        start = len(lines[n].encode()[: node.col_offset].decode())
        mark = "'" if '"' in said else '"'
        lines[n] = f"{lines[n][:start]}{mark}{said}{mark}{lines[n][start + len(said) :]}"
    return "\n".join(lines)


def _annotations(signature: str) -> list[ast.expr]:
    function = function_of(signature)
    if function is None:
        return []
    a = function.args
    given = [p.annotation for p in (*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg) if p is not None]
    return [node for node in (*given, function.returns) if node is not None]


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        try:
            ast.parse(node.value.strip(), mode="eval")
        except (SyntaxError, ValueError):
            yield node.value
    elif isinstance(node, ast.Subscript) and _last_name(node.value) in _WORDS:
        yield from _names(node.value)
        inside = [n for n in ast.walk(node.slice) if isinstance(n, ast.Name)]
        yield from (name.id for name in inside)
    else:
        for inner in ast.iter_child_nodes(node):
            yield from _names(inner)


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _imports_annotations(node: ast.ImportFrom) -> bool:
    return any(alias.name == "annotations" for alias in node.names)


def _bound(body: Sequence[ast.stmt], line: int) -> Iterator[str]:
    """The names that statements have set when a line, from 1, is reached; not those for type checkers alone."""
    for node in body:
        if node.lineno >= line:
            continue
        if isinstance(node, _SCOPES):
            if (node.end_lineno or 0) < line:
                yield node.name
            elif isinstance(node, ast.ClassDef):
                yield from _bound(node.body, line)
            else:
                yield from _bound(body, _END)  # it runs when all around it has been read
                yield from _bound(node.body, line)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from _bound(node.orelse, line)
        else:
            blocks = list(blocks_of(node))
            yield from _bound(blocks, line)
            own = [n for n in ast.iter_child_nodes(node) if n not in blocks and not isinstance(n, ast.ExceptHandler)]
            names = [n for part in own for n in ast.walk(part) if isinstance(n, ast.Name)]
            yield from (n.id for n in names if isinstance(n.ctx, ast.Store))
