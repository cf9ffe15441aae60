"""'Fix this bug': the definition around a place rewritten, as little as possible of it changed."""

from __future__ import annotations

from gemma_lsp.features.actions.action import Action, Answer, Facts
from gemma_lsp.features.actions.edits import Unusable, line_edits, same_code
from gemma_lsp.features.actions.explain import ExplainRequest, evidence_for
from gemma_lsp.features.actions.rewriting import Task
from gemma_lsp.features.actions.targets import Target, fitted, target_at
from gemma_lsp.features.context import FeatureContext
from gemma_lsp.prompt.rewrites import Rewrite
from gemma_lsp.syntax.types import ParsedFile
from gemma_lsp.text import Edit

_INSTRUCTION = (
    "There is a bug in it{hint}. Write the whole of {what} again with the bug corrected. Change as little as possible: "
    "keep names, comments and formatting. Answer with one block of Python code and nothing else."
)


def _offered(facts: Facts) -> bool:
    return facts.language == "python" and (facts.selected or facts.n_diagnostics > 0 or facts.function)


FIX_BUG = Action(
    id="fix-bug", title="Fix this bug", kind="quickfix", answer=Answer.EDIT, command="fix", offered=_offered
)


def fix_task(ctx: FeatureContext, parsed: ParsedFile, request: ExplainRequest) -> Task:
    """The task of one request. Raises `EditError` where there is nothing of a size to work on."""
    target = target_at(parsed, request.span)
    rewrite = Rewrite(
        selection=target.selection,
        instruction=_INSTRUCTION.format(hint=_hint(parsed, request, target), what=_what(target)),
        before="The code with the bug",
        after="The corrected code",
        opening=target.opening,
        evidence=evidence_for(ctx, request, parsed, target.symbol),
    )
    return Task(
        label=f"Fix this bug in {target.name}",
        path=parsed.path,
        base=parsed.text,
        allowed=target.span,
        rewrite=rewrite,
        take=lambda code: rewritten(code, target),
        expected_chars=len(target.span) * 3 // 2,
        thinks=True,
    )


def rewritten(code: str, target: Target) -> tuple[Edit, ...]:
    """The edits from the target as it stands to the answer. Raises `Unusable`."""
    base = target.parsed.text
    edits = line_edits(base, target.lines, fitted(code, target), keep=target.kept)
    if edits and same_code(base, base.with_edits(edits)):
        raise Unusable("it changes nothing but comments and formatting")
    return edits


def _what(target: Target) -> str:
    return f"`{target.symbol.name}`" if target.symbol is not None else "these lines"


def _hint(parsed: ParsedFile, request: ExplainRequest, target: Target) -> str:
    """The selected lines, where they are less than all of it."""
    chosen = " ".join(parsed.text.slice(request.span).split())
    whole = " ".join(parsed.text.slice(target.span).split())
    return f", near `{chosen[:200]}`" if chosen and chosen != whole else ""
