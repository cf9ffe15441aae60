"""'Fix this bug': the definition around a place rewritten, as little as possible of it changed.

A function that says in its docstring what it does can also be written anew without a look at its body. A small model
copies what it sees, bug and all, and is asked so first; a larger one only where it saw nothing to correct.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from gemma_lsp.features.actions.action import Action, Answer, Facts
from gemma_lsp.features.actions.definitions import is_stub, parameters, same_definition
from gemma_lsp.features.actions.edits import Unchanged, Unusable, line_edits, same_code
from gemma_lsp.features.actions.request import ExplainRequest, evidence_for
from gemma_lsp.features.actions.rewriting import Task, Unseen
from gemma_lsp.features.actions.targets import Target, fitted, target_at
from gemma_lsp.features.context import FeatureContext
from gemma_lsp.prompt.rewrites import Rewrite
from gemma_lsp.syntax.parse import parse
from gemma_lsp.syntax.types import ParsedFile, SymbolKind
from gemma_lsp.text import Edit, Span

_INSTRUCTION = (
    "There is a bug in it{hint}. Write the whole of {what} again with the bug corrected. Change as little as possible: "
    "keep names, comments and formatting. Answer with one block of Python code and nothing else."
)
_IMPLEMENT = "Implement `{name}`."  # asked for nothing but code, a small model leaves out the comments that guide it
_LEAST_CONTRACT = 40  # characters of a docstring that says what a function does; guessed


def _offered(facts: Facts) -> bool:
    asked = facts.selected or facts.n_diagnostics > 0 or facts.function
    return facts.language == "python" and facts.workable and asked


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
        take=lambda code: _fixed(code, target),
        expected_chars=len(target.span) * 3 // 2,
        thinks=True,
        unseen=_unseen(target, request, rewrite),
        unseen_first=ctx.trust.small,
    )


def _unseen(target: Target, request: ExplainRequest, rewrite: Rewrite) -> Unseen | None:
    """From the contract alone; None where there is none to speak of, or where somebody said what is wrong."""
    symbol, text = target.symbol, target.parsed.text
    if symbol is None or symbol.kind is SymbolKind.CLASS or symbol.docstring is None:
        return None
    if len(symbol.docstring) < _LEAST_CONTRACT or request.diagnostics or request.traceback:
        return None
    last = text.position(symbol.docstring.end).line
    below = text.line_span(last).end + 1
    if last >= target.lines.last or text.line(last)[text.position(symbol.docstring.end).column :].strip():
        return None
    opening = text.content[text.line_span(target.lines.first).start : below]
    shown = replace(target.selection, lines=tuple(opening.removesuffix("\n").split("\n")))
    contract = replace(
        rewrite,
        selection=shown,
        instruction=_IMPLEMENT.format(name=symbol.name),
        before="The function to be implemented",
        after="The implementation",
        opening=opening,
    )
    label = f"Write {target.name} anew, as its docstring says"
    return Unseen(label=label, rewrite=contract, span=Span(below, max(below, target.span.end)))


def _fixed(code: str, target: Target) -> tuple[Edit, ...]:
    """The edits, if whoever calls the function by the names of its parameters still can. Raises `Unusable`."""
    edits = rewritten(code, target)
    if target.symbol is not None and target.symbol.kind is not SymbolKind.CLASS:
        parsed = parse(target.parsed.path, target.parsed.text.with_edits(edits))
        after = same_definition(parsed, target.parsed, target.symbol)
        old = parameters(target.parsed.text.slice(target.symbol.signature)) or []
        new = (parameters(parsed.text.slice(after.signature)) if after is not None else None) or []
        if lost := {p.name for p in old} - {p.name for p in new}:
            raise Unusable(f"it renames or drops the parameter `{min(lost)}`")
    return edits


def rewritten(code: str, target: Target) -> tuple[Edit, ...]:
    """The edits from the target as it stands to the answer. Raises `Unusable`."""
    base = target.parsed.text
    edits = line_edits(base, target.lines, fitted(code, target), keep=target.kept)
    after = base.with_edits(edits)
    if edits and same_code(base, after):
        raise Unchanged("it changes nothing but comments and formatting")
    parsed = parse(target.parsed.path, after)
    before, left = _held(target.parsed), _held(parsed)
    if (before - left).total() > (left - before).total():  # one that is renamed may be the correction
        raise Unusable(f"it leaves out `{min(before - left)}`")
    if target.symbol is not None and not is_stub(target.parsed, target.symbol):
        found = same_definition(parsed, target.parsed, target.symbol)
        if found is not None and is_stub(parsed, found):
            raise Unusable(f"it leaves nothing of what `{target.symbol.name}` does")
    return edits


def _held(parsed: ParsedFile) -> Counter[str]:
    """The functions and classes of a file; what a function defines inside of itself is its own affair."""
    end, held = 0, Counter[str]()
    for symbol in parsed.symbols:
        if symbol.kind is not SymbolKind.VARIABLE and symbol.start >= end:
            held[symbol.qualified] += 1
            end = end if symbol.kind is SymbolKind.CLASS else symbol.span.end
    return held


def _what(target: Target) -> str:
    return f"`{target.symbol.name}`" if target.symbol is not None else "these lines"


def _hint(parsed: ParsedFile, request: ExplainRequest, target: Target) -> str:
    """The selected lines, where they are less than all of it."""
    chosen = " ".join(parsed.text.slice(request.span).split())
    whole = " ".join(parsed.text.slice(target.span).split())
    return f", near `{chosen[:200]}`" if chosen and chosen != whole else ""
