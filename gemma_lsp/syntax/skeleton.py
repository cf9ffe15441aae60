"""The short forms of a file: signatures without bodies, or one line of names. Pure; any thread may call it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gemma_lsp.syntax.types import Chunk, ChunkKind, ParsedFile, Symbol, SymbolKind
from gemma_lsp.text import Span

_SHORT = 120
"""Code points of a statement that is kept whole (guessed: a long line)."""

_MAP_LINE = 400
"""Code points of a line of names (guessed)."""

_HEADING = re.compile(r"(?m)^(?:#{1,6} .*|\[[^\]\n]+\])[ \t]*$")
_QUOTED = re.compile(r"(?s)[bBfFrRuU]{0,2}(\"\"\"|'''|\"|')(.*)\1")


def skeleton(parsed: ParsedFile) -> tuple[str, ...]:
    """The short form of each chunk, in order; never longer than the chunk, and "" for one that says nothing new.

    Kept: signatures with their decorators, the first line of docstrings, class heads, variables, imports.
    """
    by_chunk: list[list[Symbol]] = [[] for _ in parsed.chunks]
    at = 0
    for symbol in sorted(parsed.symbols, key=lambda symbol: symbol.start):
        while at < len(parsed.chunks) and parsed.chunks[at].span.end <= symbol.start:
            at += 1
        if at < len(parsed.chunks):
            by_chunk[at].append(symbol)
    forms = []
    for chunk, symbols in zip(parsed.chunks, by_chunk, strict=True):
        whole, form = parsed.text.slice(chunk.span), _short_form(parsed, chunk, symbols)
        forms.append(form if len(form) < len(whole) else whole)
    return tuple(forms)


def map_line(parsed: ParsedFile) -> str:
    """The file's path and the names that it defines, on one line: `a/b.py: Parcel(volume, weigh), pack`."""
    members: dict[str, list[str]] = {}
    for symbol in parsed.symbols:
        scope, _, name = symbol.qualified.rpartition(".")
        if not scope:
            members.setdefault(name, [])
        elif scope in members and symbol.kind is SymbolKind.METHOD and not name.startswith("__"):
            members[scope].append(name)
    names = [name + (f"({', '.join(inner)})" if inner else "") for name, inner in members.items()]
    line = f"{parsed.path}: {', '.join(names)}" if names else parsed.path
    return line if len(line) <= _MAP_LINE else line[: line.rfind(",", 0, _MAP_LINE) + 1] + " ..."


def _short_form(parsed: ParsedFile, chunk: Chunk, symbols: list[Symbol]) -> str:
    if chunk.kind is ChunkKind.PROSE:
        return _prose_form(parsed.text.slice(chunk.span))
    if chunk.kind in (ChunkKind.FUNCTION, ChunkKind.METHOD, ChunkKind.CLASS_HEAD):
        own = next((symbol for symbol in symbols if symbol.qualified == chunk.symbol), None)
        if chunk.kind is not ChunkKind.CLASS_HEAD:
            return "" if own is None else _definition_form(parsed, own, _column(parsed, own))
        head = "" if own is None else _definition_form(parsed, own, _column(parsed, own))
        return head + _statements_form(parsed, chunk, [symbol for symbol in symbols if symbol is not own])
    return _statements_form(parsed, chunk, symbols)


def _definition_form(parsed: ParsedFile, symbol: Symbol, column: int) -> str:
    """Decorators, signature, the docstring's first line, and `...` for a body."""
    indent = " " * column
    decorators = parsed.text.slice(Span(symbol.start, symbol.signature.start))
    lines = [indent + _one_line(part) for part in re.split(r"\n(?=\s*@)", decorators) if part.strip()]
    lines.append(indent + _one_line(parsed.text.slice(symbol.signature)))
    summary = _summary(parsed, symbol.docstring)
    if summary:
        lines.append(f"{indent}    {summary}")
    if symbol.kind is not SymbolKind.CLASS:
        if summary:
            lines.append(f"{indent}    ...")
        else:
            lines[-1] += " ..."
    elif not summary and not _has_members(parsed, symbol):
        lines[-1] += " ..."
    return "\n".join(lines) + "\n"


def _statements_form(parsed: ParsedFile, chunk: Chunk, symbols: list[Symbol]) -> str:
    """Imports, variables and the definitions inside conditions, each on one line, in source order."""
    scope = next((symbol for symbol in parsed.symbols if symbol.qualified == chunk.symbol), None)
    column = parsed.text.position(scope.body.start).column if scope is not None and len(scope.body) else 0
    parts: list[tuple[int, str]] = []
    if parsed.docstring is not None and chunk.span.contains(parsed.docstring.start):
        parts.append((parsed.docstring.start, _summary(parsed, parsed.docstring) + "\n"))
    imports = dict.fromkeys(imported.span for imported in parsed.imports if chunk.span.contains(imported.span.start))
    inside = _function_spans(parsed, chunk)
    for span in imports:
        if not any(around.contains(span.start) for around in inside):
            parts.append((span.start, _shortened(_one_line(parsed.text.slice(span))) + "\n"))
    for symbol in symbols:
        if any(around.contains(symbol.start) for around in inside if around != symbol.span):
            continue
        if symbol.kind is SymbolKind.VARIABLE:
            form = " " * column + _shortened(_one_line(parsed.text.slice(symbol.span))) + "\n"
        else:
            form = _definition_form(parsed, symbol, column)
        parts.append((symbol.start, form))
    return "".join(form for _, form in sorted(parts))


def _function_spans(parsed: ParsedFile, chunk: Chunk) -> list[Span]:
    """Functions that begin in a chunk: what stands inside them is their body."""
    functions = (symbol for symbol in parsed.symbols if symbol.kind in (SymbolKind.FUNCTION, SymbolKind.METHOD))
    return [symbol.span for symbol in functions if chunk.span.contains(symbol.start)]


def _has_members(parsed: ParsedFile, scope: Symbol) -> bool:
    prefix = scope.qualified + "."
    return any(symbol.qualified.startswith(prefix) for symbol in parsed.symbols)


def _column(parsed: ParsedFile, symbol: Symbol) -> int:
    return parsed.text.position(symbol.start).column


def _summary(parsed: ParsedFile, docstring: Span | None) -> str:
    """The first line of a docstring as a docstring of its own, or "" where there is none."""
    match = _QUOTED.fullmatch(parsed.text.slice(docstring)) if docstring is not None else None
    if match is None:
        return ""
    first = next(iter(_filled_lines(match.group(2))), "")
    return f'"""{first}"""' if first else ""


def _filled_lines(text: str) -> Iterator[str]:
    return (line.strip() for line in text.split("\n") if line.strip())


def _one_line(code: str) -> str:
    """Code that may span lines on one line; left alone where a comment or a string would change its meaning."""
    code = code.strip()
    if "\n" not in code or "#" in code or '"""' in code or "'''" in code or "\\\n" in code:
        return code
    joined = re.sub(r"\s*\n\s*", " ", code)
    return re.sub(r",\s*([)\]}])", r"\1", re.sub(r"([(\[{]) ", r"\1", joined))


def _shortened(statement: str) -> str:
    """A statement, or its beginning with `...` where it is long."""
    first = statement.split("\n", 1)[0]
    if len(first) == len(statement) <= _SHORT:
        return statement
    return first[:_SHORT].rstrip() + " ..."


def _prose_form(text: str) -> str:
    headings = [match.group().rstrip() for match in _HEADING.finditer(text)]
    lines = headings or [line[:_SHORT] for line in list(_filled_lines(text))[:1]]
    return "".join(f"{line}\n" for line in lines)
