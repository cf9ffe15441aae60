"""The facts of one piece of a file, counted from the piece's start, and a file's facts out of those of its pieces.

Objects with absolute places are made when they are asked for: a keystroke shifts everything behind it, and asks little.
Immutable; any thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from typing import overload

from tree_sitter import Node, Tree

from gemma_lsp.syntax import grammar
from gemma_lsp.syntax.chunks import python_runs, split_long
from gemma_lsp.syntax.lexical import lexical_state
from gemma_lsp.syntax.references import Places, References
from gemma_lsp.syntax.source import Source
from gemma_lsp.syntax.symbols import docstring_of, find_imports, find_references, find_symbols
from gemma_lsp.syntax.types import Chunk, ChunkKind, Import, ParsedFile, Symbol, SymbolKind
from gemma_lsp.text import Span, Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What stands in one piece of `length` code points. `runs` tile it: chunks before long ones are split.

    `in_string` and `in_brackets`: where it ends. `scope`: of a class that was cut off in front, body start and end.
    """

    length: int
    symbols: tuple[Symbol, ...]
    references: Places
    imports: tuple[Import, ...]
    errors: tuple[Span, ...]
    runs: tuple[Chunk, ...]
    docstring: Span | None
    in_string: bool = False
    in_brackets: bool = False
    scope: Span | None = None


def facts_of(source: Source, tree: Tree) -> Facts:
    """The facts of a text that was parsed on its own."""
    root, content = tree.root_node, source.text.content
    found = grammar.captures(grammar.FACTS, root)
    symbols = find_symbols(source, found)
    errors = tuple(sorted(source.span(node) for node in _errors(root)))
    end = lexical_state(content, len(content)) if errors else None
    return Facts(
        length=len(content),
        symbols=symbols,
        references=find_references(source, found),
        imports=find_imports(source, found),
        errors=errors,
        runs=python_runs(source.text, symbols),
        docstring=docstring_of(source, root),
        in_string=end is not None and end.in_string,
        in_brackets=end is not None and end.depth > 0,
    )


def of_members(facts: Facts, length: int) -> Facts:
    """The facts without the first `length` code points: the line of a class that was put before its members."""
    places = facts.references
    first = next((at for at, end in enumerate(places.ends) if end > length), len(places.ends))
    scope = next((s for s in facts.symbols if s.span.start < length), None)
    runs = [run for run in facts.runs if run.span.end > length]
    return replace(
        facts,
        length=facts.length - length,
        symbols=tuple(_moved_symbol(s, -length) for s in facts.symbols if s.span.start >= length),
        references=places.moved(-length, first),
        imports=tuple(_moved_import(i, -length) for i in facts.imports if i.span.start >= length),
        errors=tuple(Span(max(0, e.start - length), max(0, e.end - length)) for e in facts.errors),
        runs=tuple(replace(r, span=Span(max(0, r.span.start - length), r.span.end - length)) for r in runs),
        docstring=None,
        scope=_clipped(scope, length) if scope else None,
    )


def class_of(head: Facts, members: Sequence[Facts]) -> tuple[Facts, ...]:
    """The pieces of a class that was cut into its head and its members, knowing of each other. The head holds the class
    alone, at its end.
    """
    before = head.length + sum(member.length for member in members[:-1])
    first, last = members[0].scope, members[-1].scope
    end = before + (last.end if last else members[-1].length)
    at = next(at for at, s in enumerate(head.symbols) if s.kind is SymbolKind.CLASS)
    scope = head.symbols[at]
    start = scope.body.start if head.runs and len(scope.body) else head.length + (first.start if first else 0)
    whole = replace(scope, span=Span(scope.span.start, end), body=Span(min(start, end), end))
    runs = _one_head(head.runs)
    symbols = (*head.symbols[:at], whole, *head.symbols[at + 1 :])
    inner = (_before_others(member, scope.qualified) for member in members[:-1])
    return (replace(head, symbols=symbols, runs=runs), *inner, members[-1])


def file_of(path: str, text: Text, pieces: Sequence[Facts]) -> ParsedFile:
    """The file that consists of these pieces."""
    starts = [0, *accumulate(piece.length for piece in pieces)]
    placed = tuple(zip(starts, pieces, strict=False))
    return ParsedFile(
        path=path,
        text=text,
        language="python",
        chunks=tuple(split_long(text, _chunks(placed))),
        symbols=pieces[0].symbols if len(pieces) == 1 else Symbols(placed),
        references=References(text, tuple((at, piece.references) for at, piece in placed)),
        imports=tuple(_moved_import(i, at) for at, piece in placed for i in piece.imports),
        docstring=pieces[0].docstring,
        error_spans=tuple(_moved(span, at) for at, piece in placed for span in piece.errors),
    )


class Symbols(Sequence[Symbol]):
    """The symbols of a file in pieces. Of variables with the same qualified name the first counts."""

    def __init__(self, placed: tuple[tuple[int, Facts], ...]) -> None:
        self._placed = placed

    @cached_property
    def _made(self) -> tuple[Symbol, ...]:
        made: list[Symbol] = []
        seen: set[str] = set()
        for at, piece in self._placed:
            for symbol in piece.symbols:
                if symbol.kind is SymbolKind.VARIABLE:
                    if symbol.qualified in seen:
                        continue
                    seen.add(symbol.qualified)
                made.append(_moved_symbol(symbol, at))
        return tuple(made)

    def __len__(self) -> int:
        return len(self._made)

    @overload
    def __getitem__(self, at: int) -> Symbol: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Symbol, ...]: ...
    def __getitem__(self, at: int | slice) -> Symbol | tuple[Symbol, ...]:
        return self._made[at]

    def __iter__(self) -> Iterator[Symbol]:
        return iter(self._made)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._made == tuple(other)

    def __hash__(self) -> int:
        return hash(self._made)

    def __repr__(self) -> str:
        return f"Symbols({len(self)})"


def _chunks(placed: Sequence[tuple[int, Facts]]) -> list[Chunk]:
    """The runs of all pieces at their places; what goes on from piece to piece is one."""
    found: list[Chunk] = []
    for start, piece in placed:
        for run in piece.runs:
            span, kind, last = _moved(run.span, start), run.kind, found[-1] if found else None
            if kind is ChunkKind.HEAD and last is not None:
                kind = ChunkKind.STATEMENTS
                if last.kind in (ChunkKind.HEAD, ChunkKind.STATEMENTS) and not last.symbol:
                    found[-1] = Chunk(kind=last.kind, symbol="", span=Span(last.span.start, span.end))
                    continue
            found.append(Chunk(kind=kind, symbol=run.symbol, span=span))
    return found


def _one_head(runs: tuple[Chunk, ...]) -> tuple[Chunk, ...]:
    """Runs that end with a class's head: what stands between its last statement and its first member belongs to it."""
    at = next((at for at, run in enumerate(runs) if run.kind is ChunkKind.CLASS_HEAD), len(runs) - 1)
    return (*runs[:at], replace(runs[at], span=Span(runs[at].span.start, runs[-1].span.end)))


def _before_others(member: Facts, scope: str) -> Facts:
    """A member that is not the last: nothing of it stands behind the class."""
    if not any(run.kind is ChunkKind.STATEMENTS and not run.symbol for run in member.runs):
        return member
    found: list[Chunk] = []
    for run in member.runs:
        if run.kind is ChunkKind.STATEMENTS and not run.symbol:
            run = replace(run, symbol=scope)
        if found and run.kind is found[-1].kind is ChunkKind.STATEMENTS and run.symbol == found[-1].symbol:
            run = replace(run, span=Span(found.pop().span.start, run.span.end))
        found.append(run)
    return replace(member, runs=tuple(found))


def _moved(span: Span, by: int) -> Span:
    return Span(span.start + by, span.end + by) if by else span


def _moved_import(found: Import, by: int) -> Import:
    return Import(found.module, found.names, _moved(found.span, by)) if by else found


def _moved_symbol(symbol: Symbol, by: int) -> Symbol:
    if not by:
        return symbol
    return Symbol(
        name=symbol.name,
        qualified=symbol.qualified,
        kind=symbol.kind,
        span=_moved(symbol.span, by),
        name_span=_moved(symbol.name_span, by),
        signature=_moved(symbol.signature, by),
        body=_moved(symbol.body, by),
        docstring=_moved(symbol.docstring, by) if symbol.docstring else None,
    )


def _clipped(symbol: Symbol, length: int) -> Span:
    end = max(0, symbol.span.end - length)
    return Span(min(end, max(0, symbol.body.start - length)), end)


def _errors(root: Node) -> Iterator[Node]:
    """The outermost nodes that hold what does not parse, or that stand for what is missing."""
    stack = [root]
    while stack:
        node = stack.pop()
        if node.is_error or node.is_missing:
            yield node
        elif node.has_error:
            stack.extend(node.children)
