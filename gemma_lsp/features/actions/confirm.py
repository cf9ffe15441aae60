"""The second look at a claim about a line: the model writes the definition again as if it were true.

A claim that leads to no correction, to one that does not parse, or to one of something else, is none.
"""

from __future__ import annotations

from gemma_lsp.base.errors import EditError
from gemma_lsp.engine.messages import Priority
from gemma_lsp.features.actions.edits import Proposal
from gemma_lsp.features.actions.fix import rewritten
from gemma_lsp.features.actions.request import ExplainRequest, evidence_for
from gemma_lsp.features.actions.rewriting import MAX_TOKENS, Task, propose_once
from gemma_lsp.features.actions.targets import definition_target
from gemma_lsp.features.context import FeatureContext
from gemma_lsp.features.telling import Manner
from gemma_lsp.prompt.rewrites import Rewrite
from gemma_lsp.syntax.types import ParsedFile, Symbol
from gemma_lsp.text import Span

_INSTRUCTION = (
    "Somebody who read it says about the line `{quoted}`: {claim}\n"
    "This may be true or not. If it is true, write the whole of `{name}` again with exactly that corrected. If it is "
    "not, write `{name}` again as it stands. Answer with one block of Python code and nothing else."
)


async def confirmed_edits(
    ctx: FeatureContext, parsed: ParsedFile, symbol: Symbol, quoted: Span, claim: str
) -> Proposal:
    """The correction, without edits where it does not change the quoted line. Raises `EditError` and `EngineError`."""
    target = definition_target(parsed, symbol.span)
    if target is None or target.symbol != symbol:
        raise EditError("the definition is too long to be looked at again")
    request = ExplainRequest(path=parsed.path, span=symbol.span)
    instruction = _INSTRUCTION.format(quoted=parsed.text.slice(quoted), claim=claim, name=symbol.name)
    rewrite = Rewrite(
        selection=target.selection,
        instruction=instruction,
        before="The code",
        after=f"The same code, corrected: {claim}",
        opening=target.opening,
        evidence=evidence_for(ctx, request, parsed, symbol),
    )
    task = Task(
        label=f"Fix: {claim}",
        path=parsed.path,
        base=parsed.text,
        allowed=target.span,
        rewrite=rewrite,
        take=lambda code: rewritten(code, target),
        expected_chars=len(target.span) * 3 // 2,
    )
    wanted = min(MAX_TOKENS, task.expected_chars // 2 + 64)
    manner = Manner(max_tokens=wanted, code=True, thinks=False, priority=Priority.DIAGNOSTICS)
    proposal = await propose_once(ctx, task, manner)
    line = parsed.text.line_span(parsed.text.position(quoted.start).line)
    touched = any(edit.span.start <= line.end and line.start <= edit.span.end for edit in proposal.edits)
    return (
        proposal
        if touched
        else Proposal(path=parsed.path, label=task.label, base=parsed.text, edits=(), cost=proposal.cost)
    )
