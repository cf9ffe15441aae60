"""'Explain this': a selection, what is reported on it, what it uses and who calls it; the answer streams and cites."""

from __future__ import annotations

from dataclasses import dataclass

from gemma_lsp.base.errors import EngineError
from gemma_lsp.features.actions.action import Action, Answer, Facts
from gemma_lsp.features.actions.surroundings import callers_of, definition_at, definitions_used, selection_of
from gemma_lsp.features.actions.tracebacks import clipped
from gemma_lsp.features.context import FeatureContext
from gemma_lsp.features.markdown import code, escaped, link
from gemma_lsp.features.telling import Explanation, Hearer, document, talk, wants_thinking
from gemma_lsp.prompt.tails import Asked, Evidence, explain_tail
from gemma_lsp.syntax.types import ParsedFile, Symbol
from gemma_lsp.text import Span

TITLES = {
    Asked.BUG: "Explain this bug",
    Asked.CODE: "Explain this code",
    Asked.DIAGNOSTIC: "Explain this diagnostic",
}


def _offered(facts: Facts) -> bool:
    return facts.language == "python" and (facts.selected or facts.n_diagnostics > 0 or bool(facts.symbol))


def _on_code(facts: Facts) -> bool:
    return facts.language == "python" and (facts.selected or bool(facts.symbol))


EXPLAIN_BUG = Action(
    id="explain-bug", title=TITLES[Asked.BUG], kind="quickfix", answer=Answer.WORDS, command="explain", offered=_offered
)
EXPLAIN_DIAGNOSTIC = Action(
    id="explain-diagnostic",
    title=TITLES[Asked.DIAGNOSTIC],
    kind="quickfix",
    answer=Answer.WORDS,
    command="explain",
    offered=lambda facts: facts.language == "python" and facts.n_diagnostics > 0,
)
EXPLAIN_CODE = Action(
    id="explain-code",
    title=TITLES[Asked.CODE],
    kind="gemma-lsp.explain",
    answer=Answer.WORDS,
    command="explain",
    offered=_on_code,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """A diagnostic that somebody else gave: `line` counts from 0."""

    line: int
    source: str
    message: str

    @property
    def told(self) -> str:
        """In one line."""
        return f"line {self.line + 1}: {self.source}: {' '.join(self.message.split())}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainRequest:
    """What to explain; an empty span means the definition around it, or its line. `traceback` is as it was pasted."""

    path: str
    span: Span
    question_kind: Asked = Asked.BUG
    diagnostics: tuple[Reported, ...] = ()
    traceback: str = ""


async def explain(ctx: FeatureContext, request: ExplainRequest, hearer: Hearer) -> Explanation:
    """Streams the answer to the hearer; returns the whole document.

    Raises `EngineError` where the engine fails or the file is not in the index. Cancel points: every await.
    """
    parsed = parsed_file(ctx, request.path)
    symbol = definition_at(parsed, request.span)
    selection = selection_of(parsed, request.span, symbol)
    tail = explain_tail(
        ctx.frame,
        selection,
        asked=request.question_kind,
        evidence=evidence_for(ctx, request, parsed, symbol),
        thinking=wants_thinking(ctx),
    )
    spoken = await talk(ctx, tail, hearer)
    verb = TITLES[request.question_kind]
    title = f"{verb}: {code(symbol.qualified)}" if symbol else verb
    more = f" to line {selection.first_line + len(selection.lines) - 1}" if len(selection.lines) > 1 else ""
    place = link(request.path, selection.first_line, ctx.link_base) + more
    reports = "".join(f"\n- line {d.line + 1}: {escaped(d.source)}: {escaped(d.message)}" for d in request.diagnostics)
    return document(ctx, title, f"{place}\n{reports}" if reports else place, spoken)


def parsed_file(ctx: FeatureContext, path: str) -> ParsedFile:
    """The file as it reads now. Raises `EngineError` where it is not in the index."""
    parsed = ctx.index.files.get(path)
    if parsed is None:
        raise EngineError(f"{path} is not in the index; save it inside the workspace folder first")
    return parsed


def evidence_for(ctx: FeatureContext, request: ExplainRequest, parsed: ParsedFile, symbol: Symbol | None) -> Evidence:
    """What is known about the place: a model with a chat template is told all of it."""
    span = request.span if request.span.start < request.span.end or symbol is None else symbol.span
    return Evidence(
        reported=tuple(diagnostic.told for diagnostic in request.diagnostics),
        callers=callers_of(ctx.index, request.path, symbol),
        used=definitions_used(ctx.index, parsed.path, span),
        traceback=clipped(request.traceback),
    )
