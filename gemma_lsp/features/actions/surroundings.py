"""What stands around a place, found without a model: its definition, who calls it, what it uses. Pure; any thread."""

from __future__ import annotations

from bisect import bisect_left

from gemma_lsp.prompt.tails import Quote, Selection
from gemma_lsp.syntax.context import innermost
from gemma_lsp.syntax.index import Index
from gemma_lsp.syntax.types import ParsedFile, Symbol, SymbolKind
from gemma_lsp.text import Span

MAX_LINES = 120  # of a selection; a context that holds the repository has no room for more
MAX_CALLERS = 5
MAX_USED = 6
_MEANINGS = 2  # a name that is defined in more places than this says nothing


def definition_at(parsed: ParsedFile, span: Span) -> Symbol | None:
    """The innermost class or function that holds the whole span."""
    content = parsed.text.content
    start = span.start + len(content[span.start : span.end]) - len(content[span.start : span.end].lstrip())
    start = min(start, span.end)
    around = [s for s in parsed.symbols if s.kind is not SymbolKind.VARIABLE and _holds(s, start, span)]
    return around[-1] if around else innermost(parsed, start)


def selection_of(parsed: ParsedFile, span: Span, symbol: Symbol | None) -> Selection:
    """Whole lines; a span without text stands for the definition around it."""
    text = parsed.text
    if not text.slice(span).strip() and symbol is not None:
        span = symbol.span
    first, end = text.position(span.start), text.position(span.end)
    last = end.line - 1 if end.column == 0 and end.line > first.line else end.line
    lines = tuple(text.line(n) for n in range(first.line, min(last, first.line + MAX_LINES - 1) + 1))
    name = symbol.qualified if symbol else ""
    return Selection(path=parsed.path, symbol=name, first_line=first.line + 1, lines=lines)


def callers_of(index: Index, path: str, symbol: Symbol | None) -> tuple[Quote, ...]:
    """A few lines that call the definition, from outside it."""
    if symbol is None:
        return ()
    quotes: dict[Quote, None] = {}
    for where, used in index.call_sites(symbol.name):
        if where == path and symbol.span.contains(used.span.start):
            continue
        text = index.files[where].text
        quotes[Quote(where, text.line(text.position(used.span.start).line).strip())] = None
    return tuple(quotes)[:MAX_CALLERS]


def definitions_used(index: Index, path: str, span: Span) -> tuple[Quote, ...]:
    """The first lines of a few definitions of the workspace that the span uses, in the order of their use."""
    quotes: dict[Quote, None] = {}
    references = index.files[path].references
    first = bisect_left(references, span.start, key=lambda used: used.span.start)
    for used in references[first : bisect_left(references, span.end, key=lambda used: used.span.start)]:
        meanings = [place for place in index.definitions(used.name) if _is_elsewhere(place, path, span)]
        meanings = [place for place in meanings if place[0] == path] or meanings
        for where, symbol in meanings if len(meanings) <= _MEANINGS else ():
            quotes[Quote(where, " ".join(index.files[where].text.slice(symbol.signature).split()))] = None
    return tuple(quotes)[:MAX_USED]


def _holds(symbol: Symbol, start: int, span: Span) -> bool:
    return symbol.span.start <= start and span.end <= symbol.span.end + 1


def _is_elsewhere(place: tuple[str, Symbol], path: str, span: Span) -> bool:
    """Whether a definition stands outside the span, and not around it."""
    where, symbol = place
    return where != path or symbol.span.end <= span.start or span.end <= symbol.span.start
