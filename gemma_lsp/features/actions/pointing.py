"""Where the bug is, for a small model that explains one: it says more of use about a difference than about code.

It first corrects the function, as 'Fix this bug' would, which then knows the answer; the lines that the correction
changes are the ones that it may point at, and its explanation begins with a quotation of one of them. Cancel points:
every await. A larger model is asked outright.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from gemma_lsp.base.errors import EditError
from gemma_lsp.engine.client import GenerateOptions
from gemma_lsp.engine.messages import Cost
from gemma_lsp.features.actions.edits import Proposal
from gemma_lsp.features.actions.fix import fix_task
from gemma_lsp.features.actions.request import ExplainRequest
from gemma_lsp.features.actions.rewriting import known_proposal, propose
from gemma_lsp.features.context import FeatureContext, request_prompt
from gemma_lsp.generate.answers import gather, sum_costs
from gemma_lsp.generate.grammars import one_of
from gemma_lsp.generate.presets import constrained
from gemma_lsp.prompt.segments import Region, Segment
from gemma_lsp.prompt.tails import Asked, RequestTail, Selection
from gemma_lsp.syntax.types import ParsedFile

MAX_NOTES = 3
_LEAST_QUOTE = 4
_LINE_TOKENS = 80


@dataclass(slots=True, kw_only=True)
class Point:
    """What an explanation may begin with: one of `lines` of the file `path`. `notes`: what a correction says there."""

    path: str
    lines: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    cost: Cost = field(default_factory=Cost)

    async def begun(self, ctx: FeatureContext, tail: RequestTail) -> RequestTail:
        """The request with the first words of its answer, which quote a line that the model chooses."""
        if not self.lines:
            return tail
        opener = f"`{self.path}`: `"
        line = self.lines[0]
        if len(self.lines) > 1:
            prompt = (*request_prompt(ctx, tail.segments), Segment(Region.REQUEST, opener))
            options = GenerateOptions(max_tokens=_LINE_TOKENS, sampling=constrained(f"root ::= {one_of(self.lines)}"))
            answer = await gather(ctx.engine, ctx.workspace, prompt, options)
            self.cost = sum_costs(self.cost, answer.cost)
            line = next((line for line in self.lines if line == answer.text.strip()), line)
        opener += f"{line}` is wrong:"
        return replace(tail, segments=(*tail.segments, Segment(Region.REQUEST, opener)), opener=opener)


async def pointed(ctx: FeatureContext, request: ExplainRequest, parsed: ParsedFile, selection: Selection) -> Point:
    """Where to begin; nowhere if the model is large, another thing is asked, or it has no correction."""
    point = Point(path=request.path)
    if not (ctx.trust.small and ctx.frame.chat) or request.question_kind is not Asked.BUG:
        return point
    if request.diagnostics or request.traceback or parsed.language != "python":
        return point
    try:
        task = fix_task(ctx, parsed, request)
        known = known_proposal(ctx, task)
        proposal = known or await propose(ctx, task, lambda text: None)
    except EditError:
        return point
    shown = range(selection.first_line - 1, selection.first_line - 1 + len(selection.lines))
    wrong = [n for n in touched_lines(proposal) if n in shown]
    point.lines = tuple(dict.fromkeys(text for n in wrong if _quotable(text := parsed.text.line(n).strip())))
    point.notes = _notes(proposal, shown)
    point.cost = Cost() if known else proposal.cost
    return point


def touched_lines(proposal: Proposal) -> tuple[int, ...]:
    """The lines of the old text that an edit changes or deletes; where it only inserts, the line above."""
    base, found = proposal.base, dict[int, None]()
    for edit in proposal.edits:
        first, end = base.position(edit.span.start).line, base.position(edit.span.end)
        last = end.line - (end.column == 0)
        found.update(dict.fromkeys(range(first, last + 1) if len(edit.span) else (max(0, first - 1),)))
    return tuple(found)


def _notes(proposal: Proposal, shown: range) -> tuple[str, ...]:
    """The first few replacements in words."""
    base = proposal.base
    notes = []
    for edit in proposal.edits:
        line, new = base.position(edit.span.start).line, _one_line(edit.text.split("\n"))
        if line in shown and new and "`" not in new:
            notes.append(f"line {line + 1}: a corrected version has `{new}` here")
    return tuple(notes[:MAX_NOTES])


def _one_line(lines: Sequence[str]) -> str:
    return next((line.strip() for line in lines if line.strip()), "")


def _quotable(line: str) -> bool:
    return len(line) >= _LEAST_QUOTE and "`" not in line and not line.startswith("#")
