"""'Implement from signature and docstring': a body for a definition that has none yet; what stands above it stays."""

from __future__ import annotations

from gemma_lsp.base.errors import EditError
from gemma_lsp.features.actions.action import Action, Answer, Facts
from gemma_lsp.features.actions.definitions import is_stub, same_definition
from gemma_lsp.features.actions.edits import Unusable
from gemma_lsp.features.actions.fix import rewritten
from gemma_lsp.features.actions.request import ExplainRequest, evidence_for
from gemma_lsp.features.actions.rewriting import Task
from gemma_lsp.features.actions.targets import Target, definition_target
from gemma_lsp.features.context import FeatureContext
from gemma_lsp.prompt.rewrites import Rewrite
from gemma_lsp.syntax.parse import parse
from gemma_lsp.syntax.types import ParsedFile, Symbol
from gemma_lsp.text import Edit, Span

_INSTRUCTION = (
    "Implement `{name}` as its signature and docstring say, with what the repository has. Leave signature and "
    "docstring as they are. Answer with one block of Python code, the whole of `{name}`, and nothing else."
)
EXPECTED_CHARS = 1500


def _offered(facts: Facts) -> bool:
    """Where a body is missing: in a stub file, and behind one signature of several, it is meant to be."""
    missing = facts.definition and facts.stub and facts.apart
    return facts.language == "python" and missing and not facts.overload and not facts.path.endswith(".pyi")


IMPLEMENT = Action(
    id="implement",
    title="Implement from signature and docstring",
    kind="refactor.rewrite",
    answer=Answer.EDIT,
    command="implement",
    offered=_offered,
)


def implement_task(ctx: FeatureContext, parsed: ParsedFile, request: ExplainRequest) -> Task:
    """The task of one request. Raises `EditError` where the definition has a body already."""
    target = definition_target(parsed, request.span)
    if target is None or target.symbol is None or not is_stub(parsed, target.symbol):
        raise EditError("there is no function here whose body is still to be written; nothing was changed")
    symbol, text = target.symbol, parsed.text
    stands = symbol.docstring.end if symbol.docstring is not None else symbol.signature.end
    below = text.position(stands).line + 1
    if text.position(symbol.body.start).line == text.position(symbol.signature.end).line:
        raise EditError("the body stands on the line of the signature; put it on a line of its own first")
    body = text.line(text.position(symbol.body.start).line)
    indent = body[: len(body) - len(body.lstrip())]
    start = text.line_span(target.lines.first).start
    rewrite = Rewrite(
        selection=target.selection,
        instruction=_INSTRUCTION.format(name=symbol.name),
        before="The code without a body",
        after="The implementation",
        opening=f"{text.content[start : text.line_span(below - 1).end]}\n{indent}",
        evidence=evidence_for(ctx, request, parsed, symbol),
    )
    return Task(
        label=f"Implement {target.name}",
        path=parsed.path,
        base=text,
        allowed=Span(min(text.line_span(below).start, target.span.end), target.span.end),
        rewrite=rewrite,
        take=lambda code: _taken(code, target, symbol),
        expected_chars=EXPECTED_CHARS,
        thinks=True,
    )


def _taken(code: str, target: Target, symbol: Symbol) -> tuple[Edit, ...]:
    """The edits, if the definition says something with them. Raises `Unusable`."""
    edits = rewritten(code, target)
    after = parse(target.parsed.path, target.parsed.text.with_edits(edits))
    found = same_definition(after, target.parsed, symbol)
    if found is not None and is_stub(after, found):
        raise Unusable("it has no body either")
    return edits
