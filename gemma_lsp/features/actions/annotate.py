"""'Add type annotations': only the signature changes."""

from __future__ import annotations

from gemma_lsp.base.errors import EditError
from gemma_lsp.features.actions.action import Action, Answer
from gemma_lsp.features.actions.annotations import annotation_names, quoted
from gemma_lsp.features.actions.definitions import known_names, parameters
from gemma_lsp.features.actions.edits import Lines, Unusable, line_edits
from gemma_lsp.features.actions.indenting import indented, parsed_answer
from gemma_lsp.features.actions.keeping import comments_of, says_less
from gemma_lsp.features.actions.request import ExplainRequest, evidence_for
from gemma_lsp.features.actions.rewriting import Task
from gemma_lsp.features.actions.targets import Target, definition_target
from gemma_lsp.features.context import FeatureContext
from gemma_lsp.prompt.rewrites import Rewrite
from gemma_lsp.syntax.types import ParsedFile, Symbol, SymbolKind
from gemma_lsp.text import Edit

_INSTRUCTION = (
    "Write the signature of `{name}` with type annotations for every parameter and the result, as the code and its "
    "callers show. Change nothing else of it. Answer with one block of Python code that holds the signature alone."
)

ANNOTATE = Action(
    id="annotate",
    title="Add type annotations",
    kind="refactor.rewrite",
    answer=Answer.EDIT,
    command="annotate",
    offered=lambda facts: facts.language == "python" and facts.definition and facts.alone and not facts.annotated,
)


def annotate_task(ctx: FeatureContext, parsed: ParsedFile, request: ExplainRequest) -> Task:
    """The task of one request. Raises `EditError` where there is no function whose signature stands alone."""
    target = definition_target(parsed, request.span)
    symbol = target.symbol if target is not None else None
    if target is None or symbol is None or symbol.kind is SymbolKind.CLASS:
        raise EditError("there is no function here that is short enough to read as a whole; nothing was changed")
    text = parsed.text
    first, last = text.position(symbol.signature.start), text.position(symbol.signature.end)
    if text.line(last.line)[last.column :].strip():
        raise EditError("something stands behind the signature on its line; put it on a line of its own first")
    lines = Lines(first.line, last.line)
    rewrite = Rewrite(
        selection=target.selection,
        instruction=_INSTRUCTION.format(name=symbol.name),
        before="The code without annotations",
        after="Its signature with type annotations",
        opening=text.content[text.line_span(first.line).start : symbol.name_span.end] + "(",
        stop=(":\n",),
        evidence=evidence_for(ctx, request, parsed, symbol),
    )
    return Task(
        label=f"Annotate {target.name}",
        path=parsed.path,
        base=text,
        allowed=lines.span(text),
        rewrite=rewrite,
        take=lambda code: _taken(code, target, symbol, lines),
        expected_chars=len(symbol.signature) * 3,
    )


def _taken(code: str, target: Target, symbol: Symbol, lines: Lines) -> tuple[Edit, ...]:
    """The signature of an answer, if it has the parameters that stand there. Raises `Unusable`."""
    answer = parsed_answer(_with_body(code))
    found = next((s for s in answer.symbols if s.name == symbol.name and s.kind is not SymbolKind.VARIABLE), None)
    if found is None:
        raise Unusable(f"it does not define `{symbol.name}`")
    signature = answer.text.slice(found.signature)
    stands = target.parsed.text.slice(symbol.signature)
    old, new = parameters(stands), parameters(signature)
    if old is None or new is None or [(p.name, p.default) for p in old] != [(p.name, p.default) for p in new]:
        raise Unusable("its parameters are not those that stand there")
    if not says_less(stands, signature):
        raise Unusable("it changes how a parameter is given, or an annotation that stands there")
    if lost := [comment for comment in comments_of(stands) if comment not in comments_of(signature)]:
        raise Unusable(f"it leaves out the comment `{lost[0]}`")
    already = annotation_names(stands)
    if unknown := sorted(annotation_names(signature) - known_names(target.parsed) - already):
        raise Unusable(f"`{unknown[0]}` is not defined in the file")
    if not target.parsed.path.endswith(".pyi"):
        signature = quoted(signature, target.parsed.text.content, lines.first, already)
    return line_edits(target.parsed.text, lines, indented(signature.split("\n"), target.indent, target.unit))


def _with_body(code: str) -> str:
    """A signature alone is no definition, and its colon may have been what ended the answer."""
    if ":\n" in code:
        return code
    last = code.rstrip().rpartition("\n")[2]
    indent = last[: len(last) - len(last.lstrip())]
    return f"{code.rstrip().removesuffix(':')}:\n{indent}    pass\n"
