"""The facts of one piece of a file, counted from the piece's start. Immutable; any thread.

Deliberately not here: what they are together (`whole`), and where the pieces are (`pieces`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tree_sitter import Node, Tree

from gemma_lsp.syntax import grammar
from gemma_lsp.syntax.chunks import python_runs
from gemma_lsp.syntax.lexical import lexical_state
from gemma_lsp.syntax.references import Places
from gemma_lsp.syntax.source import Source
from gemma_lsp.syntax.symbols import docstring_of, find_imports, find_references, find_symbols
from gemma_lsp.syntax.types import Chunk, ChunkKind, Import, Symbol, SymbolKind
from gemma_lsp.text import Span


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
    symbols = find_symbols(source, root, found)
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
    scope = next((s for s in facts.symbols if s.start < length), None)
    runs = [run for run in facts.runs if run.span.end > length]
    return replace(
        facts,
        length=facts.length - length,
        symbols=tuple(moved_symbol(s, -length) for s in facts.symbols if s.start >= length),
        references=places.moved(-length, first),
        imports=tuple(moved_import(i, -length) for i in facts.imports if i.span.start >= length),
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
    places = scope.places
    whole = scope._replace(places=(places[0], end, *places[2:6], min(start, end), end, *places[8:]))
    runs = _one_head(head.runs)
    symbols = (*head.symbols[:at], whole, *head.symbols[at + 1 :])
    inner = (_before_others(member, scope.qualified) for member in members[:-1])
    return (replace(head, symbols=symbols, runs=runs), *inner, members[-1])


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


def moved(span: Span, by: int) -> Span:
    """The span further on, or back."""
    return Span(span.start + by, span.end + by) if by else span


def moved_import(found: Import, by: int) -> Import:
    """The import further on, or back."""
    return Import(found.module, found.names, moved(found.span, by)) if by else found


def moved_symbol(symbol: Symbol, by: int) -> Symbol:
    """The symbol further on, or back."""
    return symbol._replace(places=tuple([at + by for at in symbol.places])) if by else symbol


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
