"""'Write the docstring', or 'Update the docstring': nothing else of the definition changes."""

from __future__ import annotations

import re
from textwrap import dedent

from gemma_lsp.base.errors import EditError
from gemma_lsp.features.actions.action import Action, Answer
from gemma_lsp.features.actions.definitions import can_be_documented, stands_apart
from gemma_lsp.features.actions.edits import Lines, Unusable, line_edits
from gemma_lsp.features.actions.request import ExplainRequest, evidence_for
from gemma_lsp.features.actions.rewriting import Task
from gemma_lsp.features.actions.targets import Target, definition_target
from gemma_lsp.features.context import FeatureContext
from gemma_lsp.prompt.rewrites import Rewrite
from gemma_lsp.syntax.types import ParsedFile, Symbol
from gemma_lsp.text import Edit, Span

_QUOTES = '"""'
_ESCAPED = re.compile(r"\\[\\\"']")
_INSTRUCTION = (
    "Write a docstring for `{name}`: one sentence that says what it does, then, where it is not plain, what it takes, "
    "returns and raises. Say only what the code shows. Answer with the first lines of the definition and its docstring."
)
EXPECTED_CHARS = 600

DOCSTRING = Action(
    id="docstring",
    title="Write the docstring",
    kind="refactor.rewrite",
    answer=Answer.EDIT,
    command="docstring",
    offered=lambda facts: facts.language == "python" and bool(facts.symbol) and facts.documentable,
    title_for=lambda facts: "Update the docstring" if facts.documented else "Write the docstring",
)


def docstring_task(ctx: FeatureContext, parsed: ParsedFile, request: ExplainRequest) -> Task:
    """The task of one request. Raises `EditError` where there is no place for a docstring."""
    target = definition_target(parsed, request.span, whole=False)
    if target is None or target.symbol is None:
        raise EditError("there is no definition here; nothing was changed")
    symbol, text = target.symbol, parsed.text
    place = _place(target, symbol)
    indent = _indent(target, symbol)
    start = text.line_span(target.lines.first).start
    raw = symbol.docstring is not None and text.slice(symbol.docstring)[0] in "rR"
    opening = f"{text.content[start : symbol.signature.end]}\n{indent}{_QUOTES}"
    rewrite = Rewrite(
        selection=target.outline,
        instruction=_INSTRUCTION.format(name=symbol.name),
        before="The code",
        after="The same code with a docstring that says what it does",
        opening=opening,
        stop=(_QUOTES,),
        evidence=evidence_for(ctx, request, parsed, symbol),
    )

    def take(code: str) -> tuple[Edit, ...]:
        wanted = _docstring(code, opening, indent, raw=raw)
        if isinstance(place, Span):
            return (Edit(place, "".join(line + "\n" for line in wanted)),)
        wanted[-1] += _comment(target, symbol)
        return line_edits(text, place, wanted)

    return Task(
        label=f"Write the docstring of {target.name}",
        path=parsed.path,
        base=text,
        allowed=place.span(text) if isinstance(place, Lines) else place,
        rewrite=rewrite,
        take=take,
        expected_chars=EXPECTED_CHARS,
    )


def _place(target: Target, symbol: Symbol) -> Lines | Span:
    """The lines of the docstring that stands there, or the empty span where one goes. Raises `EditError`."""
    text = target.parsed.text
    if not can_be_documented(target.parsed, symbol):
        crowded = "the docstring shares its lines with other code; put it on lines of its own first"
        beside = "the body stands on the line of the signature; put it on a line of its own first"
        raise EditError(crowded if symbol.docstring is not None and stands_apart(target.parsed, symbol) else beside)
    if symbol.docstring is not None:
        return Lines(*(text.position(at).line for at in (symbol.docstring.start, symbol.docstring.end)))
    start = text.line_span(text.position(symbol.signature.end).line + 1).start
    return Span(start, start)


def _indent(target: Target, symbol: Symbol) -> str:
    line = target.parsed.text.line(target.parsed.text.position(symbol.body.start).line)
    return line[: len(line) - len(line.lstrip())]


def _comment(target: Target, symbol: Symbol) -> str:
    """What stands behind the docstring on its last line."""
    text = target.parsed.text
    end = text.position(symbol.docstring.end if symbol.docstring is not None else symbol.body.start)
    return text.line(end.line)[end.column :].rstrip()


def _docstring(code: str, opening: str, indent: str, *, raw: bool) -> list[str]:
    """The lines of a docstring in the usual form, with what they are indented beyond it. Raises `Unusable`."""
    if not code.startswith(opening):
        raise Unusable("it does not begin with the definition")
    first, _, more = code[len(opening) :].split(_QUOTES)[0].partition("\n")
    lines = [first.strip(), *(line.rstrip() for line in dedent(more).split("\n"))]
    while lines and not lines[-1]:
        lines.pop()
    while lines and not lines[0]:
        lines.pop(0)
    if not any(c.isalnum() for line in lines for c in line):
        raise Unusable("it says nothing")
    bare = "\\" in _ESCAPED.sub("", "\n".join(lines))  # such as `\d` or `\n`, meant as it stands
    prefix = "r" if raw or bare else ""
    if len(lines) == 1:
        end = " " if lines[0].endswith('"') else ""
        return [f"{indent}{prefix}{_QUOTES}{lines[0]}{end}{_QUOTES}"]
    body = [indent + line if line else "" for line in lines[1:]]
    return [f"{indent}{prefix}{_QUOTES}{lines[0]}", *body, indent + _QUOTES]
