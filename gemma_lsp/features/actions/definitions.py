"""What can be said of a definition by its text alone: its parameters, whether it is still to be written, ... Pure."""

from __future__ import annotations

import ast
import builtins
import warnings
from dataclasses import dataclass

from gemma_lsp.syntax.types import ParsedFile, Symbol, SymbolKind

MOST_OF_A_STUB = 1000  # characters; what says more is code, and long functions must not hold up a menu

_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_ANY = "def any():"  # instead of a signature, which may be newer than the Python that reads it


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a function; `default` is its source, "" for none."""

    name: str
    default: str
    annotated: bool


def is_stub(parsed: ParsedFile, symbol: Symbol) -> bool:
    """Whether the body of a definition says nothing yet: `pass`, `...`, NotImplementedError, docstring, comments."""
    documented = symbol.docstring is not None
    begins = symbol.docstring.end if symbol.docstring is not None else symbol.body.start
    if not symbol.body or symbol.body.end - begins > MOST_OF_A_STUB:
        return False
    definition = _definition(f"{_ANY}{parsed.text.content[symbol.signature.end : symbol.body.end]}")
    return definition is not None and all(map(_says_nothing, definition.body[documented:]))


def is_overload(parsed: ParsedFile, symbol: Symbol) -> bool:
    """Whether it is one signature of several: its body says nothing on purpose."""
    return any(name.rpartition(".")[2] == "overload" for name in decorators(parsed, symbol))


def decorators(parsed: ParsedFile, symbol: Symbol) -> list[str]:
    """What decorates a definition, without the signs, as Python writes it; nothing where Python cannot read it."""
    content, start = parsed.text.content, symbol.span.start
    indentation = parsed.text.line(parsed.text.position(start).line)[: parsed.text.position(start).column]
    definition = _definition(f"{content[start : symbol.signature.start]}{_ANY} pass", indentation)
    try:
        return [ast.unparse(decorator) for decorator in definition.decorator_list] if definition is not None else []
    except RecursionError:
        return []


def stands_apart(parsed: ParsedFile, symbol: Symbol) -> bool:
    """Whether the body has lines of its own, below the signature's."""
    text = parsed.text
    return bool(len(symbol.body)) and (text.position(symbol.body.start).line > text.position(symbol.signature.end).line)


def signature_alone(parsed: ParsedFile, symbol: Symbol) -> bool:
    """Whether nothing stands behind the signature on its line, not even a comment."""
    end = parsed.text.position(symbol.signature.end)
    return not parsed.text.line(end.line)[end.column :].strip()


def can_be_documented(parsed: ParsedFile, symbol: Symbol) -> bool:
    """Whether its docstring has lines of its own, a comment behind it aside, or could have."""
    if symbol.docstring is None:
        return stands_apart(parsed, symbol)
    text = parsed.text
    first, last = (text.position(at) for at in (symbol.docstring.start, symbol.docstring.end))
    behind = text.line(last.line)[last.column :].strip()
    return not text.line(first.line)[: first.column].strip() and (not behind or behind.startswith("#"))


def occurrence(parsed: ParsedFile, symbol: Symbol) -> int:
    """The how-manieth definition of its name it is: a property and its setter, an `if` and its `else` share one."""
    return sum(s.start < symbol.start for s in _namesakes(parsed, symbol))


def same_definition(after: ParsedFile, before: ParsedFile, symbol: Symbol) -> Symbol | None:
    """What became of a definition where nothing above it was changed."""
    found, n = _namesakes(after, symbol), occurrence(before, symbol)
    return found[n] if n < len(found) else None


def function_of(signature: str) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    """A signature as Python reads it; None where it cannot."""
    node = _definition(f"{signature} pass")
    return None if isinstance(node, ast.ClassDef) else node


def parameters(signature: str) -> list[Parameter] | None:
    """The parameters of a signature in order; None where Python cannot read it."""
    function = function_of(signature)
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


def known_names(parsed: ParsedFile) -> set[str]:
    """Names that an annotation in the file may use: built in, imported, or defined at its top."""
    known = {symbol.name for symbol in parsed.symbols if "." not in symbol.qualified} | set(dir(builtins))
    try:
        nodes = list(ast.walk(ast.parse(parsed.text.content)))
    except (SyntaxError, ValueError, RecursionError):
        return known | {name for imported in parsed.imports for name in imported.names}
    aliases = [alias for node in nodes if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names]
    return known | {alias.asname or alias.name.partition(".")[0] for alias in aliases}


def is_annotated(signature: str) -> bool:
    """Whether all of its parameters and its result have annotations; nothing is missing from what cannot be read."""
    function, found = function_of(signature), parameters(signature)
    if function is None or found is None:
        return True  # nothing to add to what cannot be read
    named = [p for n, p in enumerate(found) if n > 0 or p.name not in ("self", "cls")]
    return function.returns is not None and all(p.annotated for p in named)


def _namesakes(parsed: ParsedFile, symbol: Symbol) -> list[Symbol]:
    return [s for s in parsed.symbols if s.qualified == symbol.qualified and s.kind is not SymbolKind.VARIABLE]


def _definition(source: str, indentation: str = "") -> _Definition | None:
    """The one definition that these words are; `indentation` is what stands before the first of them."""
    block = f"if True:\n{indentation}{source}" if indentation else source
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            (node,) = ast.parse(block).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    node = node.body[0] if indentation and isinstance(node, ast.If) else node
    return node if isinstance(node, _Definition) else None


def _says_nothing(statement: ast.stmt) -> bool:
    match statement:
        case ast.Pass() | ast.Expr(ast.Constant(value=builtins.Ellipsis)):
            return True
        case ast.Raise(exc=ast.Call(func=ast.Name("NotImplementedError")) | ast.Name("NotImplementedError")):
            return True
    return False
