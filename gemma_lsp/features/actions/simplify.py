"""'Simplify this code': the definition, or the selected lines, said in fewer words with the same meaning."""

from __future__ import annotations

from gemma_lsp.features.actions.action import Action, Answer
from gemma_lsp.features.actions.definitions import same_definition
from gemma_lsp.features.actions.edits import Unusable
from gemma_lsp.features.actions.fix import rewritten
from gemma_lsp.features.actions.keeping import says_less
from gemma_lsp.features.actions.request import ExplainRequest, evidence_for
from gemma_lsp.features.actions.rewriting import Task
from gemma_lsp.features.actions.targets import Target, target_at
from gemma_lsp.features.context import FeatureContext
from gemma_lsp.prompt.rewrites import Rewrite
from gemma_lsp.syntax.parse import parse
from gemma_lsp.syntax.types import ParsedFile, SymbolKind
from gemma_lsp.text import Edit

_INSTRUCTION = (
    "Write {what} again, simpler, with the same behaviour for every input and the same signature. Keep comments and "
    "docstrings that stay true. If it is simple already, write it as it is. Answer with one block of Python code and "
    "nothing else."
)

SIMPLIFY = Action(
    id="simplify",
    title="Simplify this code",
    kind="refactor.rewrite",
    answer=Answer.EDIT,
    command="simplify",
    offered=lambda facts: (
        facts.language == "python" and facts.workable and not facts.stub and (facts.selected or facts.function)
    ),
)


def simplify_task(ctx: FeatureContext, parsed: ParsedFile, request: ExplainRequest) -> Task:
    """The task of one request. Raises `EditError` where there is nothing of a size to work on."""
    target = target_at(parsed, request.span)
    what = f"`{target.symbol.name}`" if target.symbol is not None else "these lines"
    rewrite = Rewrite(
        selection=target.selection,
        instruction=_INSTRUCTION.format(what=what),
        before="The code",
        after="The same code, simplified",
        opening=target.opening,
        evidence=evidence_for(ctx, request, parsed, target.symbol),
    )
    return Task(
        label=f"Simplify {target.name}",
        path=parsed.path,
        base=parsed.text,
        allowed=target.span,
        rewrite=rewrite,
        take=lambda code: _simplified(code, target),
        expected_chars=len(target.span),
    )


def _simplified(code: str, target: Target) -> tuple[Edit, ...]:
    """The edits, if whoever calls the function need not know. Raises `Unusable`."""
    edits = rewritten(code, target)
    symbol, old = target.symbol, target.parsed
    if symbol is not None and symbol.kind is not SymbolKind.CLASS:
        after = parse(old.path, old.text.with_edits(edits))
        found = same_definition(after, old, symbol)
        new = after.text.slice(found.signature) if found is not None else ""
        if not says_less(old.text.slice(symbol.signature), new):
            raise Unusable(f"it changes the signature of `{symbol.name}`")
    return edits
