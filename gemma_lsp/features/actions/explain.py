"""'Explain this': a selection, what is reported on it, what it uses and who calls it; the answer streams and cites."""

from __future__ import annotations

from dataclasses import replace

from gemma_lsp.features.actions.action import Action, Answer, Facts
from gemma_lsp.features.actions.pointing import pointed
from gemma_lsp.features.actions.request import ExplainRequest, Reported, evidence_for, parsed_file
from gemma_lsp.features.actions.surroundings import definition_at, selection_of
from gemma_lsp.features.citations import Shown
from gemma_lsp.features.context import FeatureContext
from gemma_lsp.features.markdown import code, escaped, link
from gemma_lsp.features.telling import Explanation, Hearer, document, talk, wants_thinking
from gemma_lsp.generate.answers import sum_costs
from gemma_lsp.prompt.tails import Asked, explain_tail

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


async def explain(ctx: FeatureContext, request: ExplainRequest, hearer: Hearer) -> Explanation:
    """Streams the answer to the hearer; returns the whole document.

    Raises `EngineError` where the engine fails or the file is not in the index. Cancel points: every await.
    """
    parsed = parsed_file(ctx, request.path)
    symbol = definition_at(parsed, request.span)
    selection = selection_of(parsed, request.span, symbol)
    evidence = evidence_for(ctx, request, parsed, symbol)
    point = await pointed(ctx, request, parsed, selection)
    evidence = replace(evidence, reported=(*evidence.reported, *point.notes))
    tail = explain_tail(
        ctx.frame, selection, asked=request.question_kind, evidence=evidence, thinking=wants_thinking(ctx)
    )
    spoken = await talk(ctx, await point.begun(ctx, tail), hearer)
    spoken = replace(spoken, cost=sum_costs(point.cost, spoken.cost))
    verb = TITLES[request.question_kind]
    title = f"{verb}: {code(symbol.qualified)}" if symbol else verb
    more = f" to line {selection.first_line + len(selection.lines) - 1}" if len(selection.lines) > 1 else ""
    place = link(request.path, selection.first_line, ctx.link_base) + more
    reports = "".join(f"\n- line {d.line + 1}: {escaped(d.source)}: {escaped(d.message)}" for d in request.diagnostics)
    first = selection.first_line - 1
    shown = Shown(request.path, range(first, first + len(selection.lines)))
    return document(ctx, title, f"{place}\n{reports}" if reports else place, spoken, shown)


__all__ = [
    "EXPLAIN_BUG",
    "EXPLAIN_CODE",
    "EXPLAIN_DIAGNOSTIC",
    "TITLES",
    "ExplainRequest",
    "Reported",
    "evidence_for",
    "explain",
    "parsed_file",
]
