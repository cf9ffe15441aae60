"""What the code below a blank line uses and nobody defines: then that is what belongs on the line. Pure; any thread.

Python only, by its own parser. Deliberately careful: where a name may come from elsewhere, nothing is said.
"""

from __future__ import annotations

import ast
import builtins
import sys
from collections.abc import Iterator

from gemma_lsp.generate.library import is_of_library

MAX_CHARS = 60_000  # takes up to 100 ms, so not on a thread that somebody waits for
_KNOWN = frozenset(dir(builtins)) | {
    "__file__",
    "__name__",
    "__doc__",
    "__package__",
    "__spec__",
    "__path__",
    "__class__",
}
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
Function = ast.FunctionDef | ast.AsyncFunctionDef


def beginning_of(content: str, line: int, space: str, *, header: bool = False) -> str:
    """How the statement on a blank line (from 0) must begin behind its `space`; "" where that is open.

    The first name that the rest of the function reads without anybody having set it: `total`, or `import math`.
    `header`: the lines below are the block of what is missing; it defines what is called and nobody defines.
    """
    lines = content.split("\n")
    if len(content) > MAX_CHARS or "import *" in content:
        return ""
    lines[line] = space + ("if True:" if header else "pass")
    try:
        module = ast.parse("\n".join(lines))
    except (SyntaxError, ValueError, RecursionError):
        return ""
    around = list(_functions_around(module, line + 1))
    if not around:
        return ""
    known = set(_KNOWN) | set(_bound(module))
    for outer in around[:-1]:
        known |= set(_bound(outer))
    missing = list(_missing(around[-1], line + 1, known))
    called = {
        node.func.id for node in ast.walk(around[-1]) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    if header:
        return next((f"def {name.id}(" for name in missing if name.id in called), "")
    return _set(around[-1], missing[0]) if missing and missing[0].id not in called else ""


def _functions_around(module: ast.Module, line: int) -> Iterator[Function]:
    """The functions whose bodies hold a line (from 1), the outermost first."""
    for node in ast.walk(module):
        if isinstance(node, Function) and node.body[0].lineno <= line <= (node.end_lineno or 0):
            yield node


def _missing(function: Function, line: int, known: set[str]) -> Iterator[ast.Name]:
    """Names that are read below a line before anything sets them."""
    known |= {arg.arg for arg in ast.walk(function.args) if isinstance(arg, ast.arg)}
    for name in sorted(_names(function), key=lambda n: (n.lineno, n.col_offset)):
        if name.lineno > line and isinstance(name.ctx, ast.Load) and name.id not in known:
            yield name
        known.add(name.id)


def _set(function: Function, name: ast.Name) -> str:
    """How a statement begins that sets a name: a module of the library is imported, if it has what is used of it."""
    owned = [node for node in ast.walk(function) if isinstance(node, ast.Attribute)]
    owners = {node.value for node in owned}
    if name not in owners or name.id not in sys.stdlib_module_names:
        return name.id
    used = {node.attr for node in owned if isinstance(node.value, ast.Name) and node.value.id == name.id}
    loaded = [n for n in ast.walk(function) if isinstance(n, ast.Name) and n.id == name.id]
    is_module = all(n in owners for n in loaded) and all(is_of_library(name.id, attribute) for attribute in used)
    return f"import {name.id}" if is_module else name.id


def _names(function: Function) -> Iterator[ast.Name]:
    """Every name of the function's own scope, and what nested scopes and other bindings set there as stored names."""
    for node in _own_nodes(function):
        if isinstance(node, ast.Name):
            yield node
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            target = node.target  # read before it is set
            yield ast.Name(id=target.id, ctx=ast.Load(), lineno=target.lineno, col_offset=target.col_offset)
        else:
            yield from (_stored(name, node) for name in _bound_by(node))


def _own_nodes(function: Function) -> Iterator[ast.AST]:
    """The nodes of a scope without those of nested ones; in comprehensions, which bind for themselves, no names."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, _COMPREHENSIONS):
            names = [n for n in ast.walk(node) if isinstance(n, ast.Name)]
            own = {n.id for n in names if isinstance(n.ctx, ast.Store)}
            waiting += [n for n in names if n.id not in own]
        elif isinstance(node, ast.AnnAssign):  # inside a function nobody evaluates its annotation
            waiting += [part for part in (node.value, node.target) if part is not None]
        elif not isinstance(node, _SCOPES):
            waiting += ast.iter_child_nodes(node)


def _bound(scope: ast.Module | Function) -> Iterator[str]:
    """Every name that is set anywhere in a scope or below it: more than can be seen, never less."""
    for node in ast.walk(scope):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load) and isinstance(scope, Function):
            yield node.id
        if node is not scope:
            yield from _bound_by(node)
    if isinstance(scope, Function):
        yield from (arg.arg for arg in ast.walk(scope.args) if isinstance(arg, ast.arg))
    else:
        own = (n for statement in scope.body if not isinstance(statement, _SCOPES) for n in ast.walk(statement))
        yield from (n.id for n in own if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load))


def _bound_by(node: ast.AST) -> Iterator[str]:
    """The names that a node sets without a stored name."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name
    elif isinstance(node, (ast.Import, ast.ImportFrom)):
        yield from ((alias.asname or alias.name).partition(".")[0] for alias in node.names)
    elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
        yield node.name
    elif isinstance(node, ast.MatchMapping) and node.rest:
        yield node.rest
    elif isinstance(node, (ast.Global, ast.Nonlocal)):
        yield from node.names


def _stored(name: str, node: ast.AST) -> ast.Name:
    """A stored name at a node's place."""
    place = {"lineno": getattr(node, "lineno", 0), "col_offset": getattr(node, "col_offset", 0)}
    return ast.Name(id=name, ctx=ast.Store(), **place)
