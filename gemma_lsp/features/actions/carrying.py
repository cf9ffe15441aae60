"""The tests of an answer with all that they need of it: helpers, imports, and what the tested module knows. Pure."""

from __future__ import annotations

import ast
import builtins
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gemma_lsp.features.actions.edits import Unusable
from gemma_lsp.features.actions.facts import is_test_file
from gemma_lsp.features.actions.imports import Binding, bindings, blocks_of, tree_of
from gemma_lsp.features.actions.places import module_of
from gemma_lsp.syntax.index import Index
from gemma_lsp.syntax.types import ParsedFile, Symbol, SymbolKind

_KNOWN = frozenset(dir(builtins)) | {"__file__", "__name__"}
_COMMENT = re.compile(r"\s*#")


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A statement at the margin of an answer. `needs` it cannot do without; `mentions` may be names of fixtures."""

    text: str
    node: ast.stmt
    binds: frozenset[str]
    needs: frozenset[str]
    mentions: frozenset[str]

    @property
    def is_test(self) -> bool:
        """By pytest's names."""
        node = self.node
        named = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        return named and any(name.lower().startswith("test") for name in self.binds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where tests go: `path`, which may stand there already, about the definition that `tested` binds."""

    index: Index
    module: ParsedFile  # that is tested
    path: str
    existing: ParsedFile | None
    tested: Binding


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """What goes into the file: imports that it lacks, and code, in the order of the answer."""

    imports: tuple[Binding, ...]
    pieces: tuple[Piece, ...]


def pieces_of(code: str) -> tuple[Piece, ...]:
    """The statements of an answer. Raises `Unusable` where Python cannot read it."""
    tree, lines = tree_of(code), code.split("\n")
    if tree is None:
        raise Unusable("it is not valid Python")
    return tuple(_piece(node, lines) for node in tree.body)


def carried(pieces: Sequence[Piece], tests: Sequence[Piece], place: Place) -> Carried:
    """The tests with what they need. Raises `Unusable` where something is not defined, or means something else."""
    binders = {name: piece for piece in pieces for name in piece.binds if not isinstance(piece.node, ast.Expr)}
    imported = bindings([piece.node for piece in pieces], place.path, place.index.files)
    there = _top_names(place)
    imports, taken = {place.tested} - set(there.values()), list(tests)
    waiting, seen = [(name, piece) for piece in tests for name in _wanted(piece, binders)], {place.tested.bound}
    while waiting:
        name, user = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        binder = binders.get(name)
        if binder is not None and (name not in imported or isinstance(binder.node, ast.Try | ast.If)):
            if name in there and there[name] != ast.dump(binder.node):
                raise Unusable(f"`{name}` is something else in {place.path}")
            if name not in there and binder not in taken:
                taken.append(binder)
                waiting += [(needed, binder) for needed in _wanted(binder, binders)]
        elif name in imported and not _is_relative(binders[name].node):
            if there.get(name, imported[name]) != imported[name]:
                raise Unusable(f"`{name}` is something else in {place.path}")
            imports |= {imported[name]} - set(there.values())
        elif name not in there and name not in _KNOWN:
            imports.add(_found(name, user, place))
    return Carried(imports=tuple(sorted(imports)), pieces=tuple(piece for piece in pieces if piece in taken))


def top_bindings(parsed: ParsedFile, index: Index) -> dict[str, Binding]:
    """The names that a file imports."""
    tree = tree_of(parsed.text.content)
    if tree is not None:
        return bindings(tree.body, parsed.path, index.files)
    return {name: Binding(i.module, name, name) for i in parsed.imports for name in i.names}


def _wanted(piece: Piece, binders: dict[str, Piece]) -> Iterator[str]:
    yield from sorted(piece.needs)
    yield from sorted(name for name in piece.mentions if name in binders)


def _found(name: str, user: Piece, place: Place) -> Binding:
    """An import of what an answer uses and nobody defines: of a module, or from where the tested one has it."""
    owners = {n.value.id for n in ast.walk(user.node) if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name)}
    if name in owners and (name in sys.stdlib_module_names or name == "pytest"):
        return Binding(name, "", name)
    index, module = place.index, place.module
    if any(symbol.qualified == name for symbol in module.symbols):
        return Binding(module_of(module.path, index.files), name, name)
    if (known := top_bindings(module, index).get(name)) is not None:
        return known
    meant = [known for known in index.definitions(name) if _may_be_imported(*known)]
    others = [path for path, symbol in meant if symbol.qualified == name]
    if len(others) == 1:
        return Binding(module_of(others[0], index.files), name, name)
    raise Unusable(f"`{name}` is not defined")


def _may_be_imported(where: str, symbol: Symbol) -> bool:
    return symbol.kind is not SymbolKind.VARIABLE and where.endswith(".py") and not is_test_file(where)


def _top_names(place: Place) -> dict[str, Binding | str]:
    """What a file that stands there calls by a name: an import, or a statement, as `ast` shows it."""
    if place.existing is None:
        return {}
    found: dict[str, Binding | str] = {s.name: "" for s in place.existing.symbols if "." not in s.qualified}
    tree = tree_of(place.existing.text.content)
    for node in tree.body if tree is not None else ():
        found |= dict.fromkeys(_bound_at_top(node), ast.dump(node))
    return found | top_bindings(place.existing, place.index)


def _piece(node: ast.stmt, lines: Sequence[str]) -> Piece:
    """A statement with the comments right above it."""
    decorators = node.decorator_list if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) else []
    first = min([node.lineno, *(d.lineno for d in decorators)]) - 1
    while first and _COMMENT.match(lines[first - 1]):
        first -= 1
    bound, loaded, mentioned = set[str](), set[str](), set[str]()
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name):
            (loaded if isinstance(inner.ctx, ast.Load) else bound).add(inner.id)
        elif isinstance(inner, ast.arg):
            bound.add(inner.arg)
            mentioned.add(inner.arg)
        elif isinstance(inner, ast.Constant) and isinstance(inner.value, str) and inner.value.isidentifier():
            mentioned.add(inner.value)
        else:
            bound |= _bound_by(inner)
    return Piece(
        text="\n".join(lines[first : node.end_lineno]),
        node=node,
        binds=frozenset(_bound_at_top(node)),
        needs=frozenset(loaded - bound),
        mentions=frozenset(mentioned),
    )


def _bound_at_top(node: ast.stmt) -> set[str]:
    """The names that a statement gives to the scope that it stands in."""
    found = _bound_by(node)
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        inside = set(blocks_of(node))
        for inner in inside:
            found |= _bound_at_top(inner)
        own = [n for n in ast.iter_child_nodes(node) if n not in inside and not isinstance(n, ast.ExceptHandler)]
        stored = (n for part in own for n in ast.walk(part) if isinstance(n, ast.Name))
        found |= {n.id for n in stored if not isinstance(n.ctx, ast.Load)}
    return found


def _bound_by(node: ast.AST) -> set[str]:
    """The names that a node sets without a stored name."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).partition(".")[0] for alias in node.names} - {"*"}
    if isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
        return {node.name}
    if isinstance(node, ast.MatchMapping) and node.rest:
        return {node.rest}
    return set(node.names) if isinstance(node, ast.Global | ast.Nonlocal) else set()


def _is_relative(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.level > 0
