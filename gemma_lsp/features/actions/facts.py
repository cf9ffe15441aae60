"""What can be said of a place without a model, for the menu and for the actions themselves. Pure; any thread."""

from __future__ import annotations

import ast
import builtins
import re
from dataclasses import dataclass

from gemma_lsp.features.actions.action import Facts
from gemma_lsp.features.actions.surroundings import definition_at
from gemma_lsp.syntax.types import ParsedFile, Symbol, SymbolKind
from gemma_lsp.text import Span

_STUB = re.compile(r"(?:pass|\.\.\.|raise\s+NotImplementedError\b.*|#.*)?")
_TEST_FILE = re.compile(r"(?:.*/)?(?:test_[^/]*|[^/]*_test|conftest)\.py")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a function; `default` is its source, "" for none."""

    name: str
    default: str
    annotated: bool


def facts_at(parsed: ParsedFile, span: Span, n_diagnostics: int) -> Facts:
    """The facts of a selection, or of a place."""
    symbol = definition_at(parsed, span)
    function = symbol is not None and symbol.kind is not SymbolKind.CLASS
    return Facts(
        path=parsed.path,
        language=parsed.language,
        selected=bool(parsed.text.slice(span).strip()),
        symbol=symbol.qualified if symbol is not None else "",
        n_diagnostics=n_diagnostics,
        function=function,
        test=is_test_file(parsed.path),
        documented=symbol is not None and symbol.docstring is not None,
        stub=symbol is not None and function and is_stub(parsed, symbol),
        annotated=symbol is not None and function and _is_annotated(parsed.text.slice(symbol.signature)),
    )


def is_test_file(path: str) -> bool:
    """Whether a file holds tests, by its name."""
    return _TEST_FILE.fullmatch(path) is not None


def is_stub(parsed: ParsedFile, symbol: Symbol) -> bool:
    """Whether a function's body says nothing yet."""
    start = symbol.docstring.end if symbol.docstring is not None else symbol.body.start
    body = parsed.text.content[start : symbol.body.end]
    return bool(len(symbol.body)) and all(_STUB.fullmatch(line.strip()) for line in body.split("\n"))


def parameters(signature: str) -> list[Parameter] | None:
    """The parameters of a signature in order; None where Python cannot read it."""
    function = _function(signature)
    if function is None:
        return None
    a = function.args
    positional = [*a.posonlyargs, *a.args]
    defaults = [""] * (len(positional) - len(a.defaults)) + [ast.unparse(d) for d in a.defaults]
    keyword = [ast.unparse(d) if d is not None else "" for d in a.kw_defaults]
    stars = [("*", a.vararg), ("**", a.kwarg)]
    found = [*zip(positional, defaults, strict=True), *zip(a.kwonlyargs, keyword, strict=True)]
    plain = [Parameter(p.arg, default, p.annotation is not None) for p, default in found]
    return plain + [Parameter(star + p.arg, "", p.annotation is not None) for star, p in stars if p is not None]


def annotation_names(signature: str) -> set[str]:
    """The names that the annotations of a signature use, but for those in quotes."""
    function = _function(signature)
    if function is None:
        return set()
    a = function.args
    given = [p.annotation for p in (*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg) if p is not None]
    found = [node for node in (*given, function.returns) if node is not None]
    return {name.id for node in found for name in ast.walk(node) if isinstance(name, ast.Name)}


def known_names(parsed: ParsedFile) -> set[str]:
    """Names that an annotation in the file may use: built in, imported, or defined at its top."""
    known = {symbol.name for symbol in parsed.symbols if "." not in symbol.qualified} | set(dir(builtins))
    try:
        nodes = list(ast.walk(ast.parse(parsed.text.content)))
    except (SyntaxError, ValueError, RecursionError):
        return known | {name for imported in parsed.imports for name in imported.names}
    aliases = [alias for node in nodes if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names]
    return known | {alias.asname or alias.name.partition(".")[0] for alias in aliases}


def _is_annotated(signature: str) -> bool:
    function, found = _function(signature), parameters(signature)
    if function is None or found is None:
        return True  # nothing to add to what cannot be read
    named = [p for n, p in enumerate(found) if n > 0 or p.name not in ("self", "cls")]
    return function.returns is not None and all(p.annotated for p in named)


def _function(signature: str) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    try:
        (node,) = ast.parse(f"{signature} pass").body
    except (SyntaxError, ValueError):
        return None
    return node if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else None
