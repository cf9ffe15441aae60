"""'Explain this bug': the selection, what is reported on it and who calls it; the answer streams and cites."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gemma_lsp.base.errors import EngineError
from gemma_lsp.features.actions.action import Action, Facts
from gemma_lsp.features.context import FeatureContext
from gemma_lsp.features.markdown import code, escaped, link
from gemma_lsp.features.telling import Explanation, document, talk, wants_thinking
from gemma_lsp.prompt.tails import Asked, Quote, Selection, explain_tail
from gemma_lsp.syntax.context import innermost
from gemma_lsp.syntax.types import ParsedFile, Symbol
from gemma_lsp.text import Span

MAX_LINES = 120  # of a selection; a context that holds the repository has no room for more
MAX_CALLERS = 5


def _offered(facts: Facts) -> bool:
    return facts.language == "python" and (facts.selected or facts.n_diagnostics > 0 or bool(facts.symbol))


EXPLAIN_BUG = Action(id="explain-bug", title="Explain this bug", kind="quickfix", offered=_offered)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """A diagnostic that somebody else gave: `line` counts from 0."""

    line: int
    source: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainRequest:
    """What to explain; an empty span means the definition around it, or its line."""

    path: str
    span: Span
    question_kind: Asked = Asked.BUG
    diagnostics: tuple[Reported, ...] = ()


async def explain(ctx: FeatureContext, request: ExplainRequest, on_delta: Callable[[str], None]) -> Explanation:
    """Streams the answer's words to `on_delta`; returns the whole document.

    Raises `EngineError` where the engine fails or the file is not in the index. Cancel points: every await.
    """
    parsed = ctx.index.files.get(request.path)
    if parsed is None:
        raise EngineError(f"{request.path} is not in the index; save it inside the workspace folder first")
    symbol = _symbol(parsed, request.span)
    selection = _selection(parsed, request.span, symbol)
    tail = explain_tail(
        ctx.frame,
        selection,
        asked=request.question_kind,
        reported=[f"line {d.line + 1}: {d.source}: {' '.join(d.message.split())}" for d in request.diagnostics],
        callers=_callers(ctx, symbol, request.path),
        thinking=wants_thinking(ctx),
    )
    spoken = await talk(ctx, tail, on_delta)
    verb = "Explain this bug" if request.question_kind is Asked.BUG else "Explain this code"
    title = f"{verb}: {code(symbol.qualified)}" if symbol else verb
    more = f" to line {selection.first_line + len(selection.lines) - 1}" if len(selection.lines) > 1 else ""
    place = link(request.path, selection.first_line, ctx.link_base) + more
    reports = "".join(f"\n- line {d.line + 1}: {escaped(d.source)}: {escaped(d.message)}" for d in request.diagnostics)
    return document(ctx, title, f"{place}\n{reports}" if reports else place, spoken)


def _symbol(parsed: ParsedFile, span: Span) -> Symbol | None:
    """The innermost definition that holds the whole span."""
    content = parsed.text.content
    start = span.start + len(content[span.start : span.end]) - len(content[span.start : span.end].lstrip())
    return innermost(parsed, min(start, span.end))


def _selection(parsed: ParsedFile, span: Span, symbol: Symbol | None) -> Selection:
    """Whole lines; a span without text stands for the definition around it."""
    text = parsed.text
    if not text.slice(span).strip() and symbol is not None:
        span = symbol.span
    first, end = text.position(span.start), text.position(span.end)
    last = end.line - 1 if end.column == 0 and end.line > first.line else end.line
    lines = tuple(text.line(n) for n in range(first.line, min(last, first.line + MAX_LINES - 1) + 1))
    name = symbol.qualified if symbol else ""
    return Selection(path=parsed.path, symbol=name, first_line=first.line + 1, lines=lines)


def _callers(ctx: FeatureContext, symbol: Symbol | None, path: str) -> tuple[Quote, ...]:
    """A few lines that call the definition, from outside it."""
    if symbol is None:
        return ()
    quotes: dict[Quote, None] = {}
    for where, used in ctx.index.call_sites(symbol.name):
        if where == path and symbol.span.contains(used.span.start):
            continue
        text = ctx.index.files[where].text
        quotes[Quote(where, text.line(text.position(used.span.start).line).strip())] = None
    return tuple(quotes)[:MAX_CALLERS]
