"""Having the model write code and making an edit of it: ask, take the code out of the answer, check, ask once more.

Every action that edits is a `Task`; one file an action says which. Cancel points: every await.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from gemma_lsp.base.digest import digest_text
from gemma_lsp.base.errors import Cancelled, EditError
from gemma_lsp.features.actions.edits import Proposal, Unchanged, Unusable, check
from gemma_lsp.features.context import FeatureContext, without
from gemma_lsp.features.telling import Hearer, Manner, Spoken, talk, wants_thinking
from gemma_lsp.generate.answers import sum_costs
from gemma_lsp.generate.stream import fenced_code
from gemma_lsp.prompt.rewrites import Attempt, Rewrite, rewrite_tail
from gemma_lsp.syntax.lexical import lexical_state
from gemma_lsp.text import Edit, Span, Text

MAX_TOKENS = 1600  # of code: more does not fit beside the repository
_CHARS_PER_TOKEN = 3  # of code, at worst
_SPARE_TOKENS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Unseen:
    """Another way to ask: with `span` of the file's text masked out of everything that the model is shown.

    `label` is what a person is told that the edit is.
    """

    label: str
    rewrite: Rewrite
    span: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is to be written, and how the answer becomes an edit.

    `take` gets the code of an answer and returns edits of `base` inside `allowed`; it raises `Unusable`.
    `expected_chars`: about how long the code will be. `unseen` is the second try where the first one changes nothing,
    or with `unseen_first` the first one.
    """

    label: str
    path: str
    base: Text
    allowed: Span
    rewrite: Rewrite
    take: Callable[[str], tuple[Edit, ...]]
    expected_chars: int
    creates: bool = False
    thinks: bool = False
    unseen: Unseen | None = None
    unseen_first: bool = False


async def propose(ctx: FeatureContext, task: Task, hearer: Hearer, manner: Manner | None = None) -> Proposal:
    """The edit. Raises `EditError` where two answers in a row cannot be used, and `EngineError`.

    What the same task gave before is given again, and two that ask at once ask the model once.
    """
    key = _key(ctx, task)
    async with ctx.memory.asking(key):
        known = ctx.memory.proposals.get(key)
        if known is None:
            known = await _proposed(ctx, task, hearer, manner or _manner(task))
            ctx.memory.proposals.put(key, known)
        return known


def known_proposal(ctx: FeatureContext, task: Task) -> Proposal | None:
    """What the same task gave before; no model is asked."""
    return ctx.memory.proposals.get(_key(ctx, task))


async def propose_once(ctx: FeatureContext, task: Task, manner: Manner) -> Proposal:
    """The edit of a first answer, unheard; without edits where that cannot be used. Raises `EngineError`."""
    spoken = await _ask(ctx, task.rewrite, lambda text: None, manner)
    try:
        return await _proposal(task, fenced_code(spoken.text).rstrip(), spoken)
    except Unusable:
        return Proposal(path=task.path, label=task.label, base=task.base, edits=(), cost=spoken.cost)


async def _proposed(ctx: FeatureContext, task: Task, hearer: Hearer, manner: Manner) -> Proposal:
    way = task.unseen if task.unseen_first else None
    spoken = await _ask_in(ctx, task, way, hearer, manner)
    code = fenced_code(spoken.text).rstrip()
    try:
        return await _proposal(_labelled(task, way), code, spoken)
    except Unusable as complaint:
        failed, unchanged = Attempt(code=code, complaint=str(complaint)), isinstance(complaint, Unchanged)
    if way is not None:
        way = None  # the other way may help
    elif unchanged and task.unseen is not None:
        way = task.unseen
    else:
        task = replace(task, rewrite=replace(task.rewrite, failed=failed))
    again = await _ask_in(ctx, task, way, hearer, manner)
    again = replace(again, cost=sum_costs(spoken.cost, again.cost))
    try:
        return await _proposal(_labelled(task, way), fenced_code(again.text).rstrip(), again)
    except Unusable as complaint:
        raise EditError(f"the model's answer is of no use here: {complaint}; nothing was changed") from None


def _labelled(task: Task, way: Unseen | None) -> Task:
    return replace(task, label=way.label) if way is not None else task


async def _ask_in(ctx: FeatureContext, task: Task, way: Unseen | None, hearer: Hearer, manner: Manner) -> Spoken:
    if way is None:
        return await _ask(ctx, task.rewrite, hearer, manner)
    masked = await asyncio.to_thread(without, ctx, task.path, way.span)
    return await _ask(masked, way.rewrite, hearer, replace(manner, thinks=False))


async def _ask(ctx: FeatureContext, rewrite: Rewrite, hearer: Hearer, manner: Manner) -> Spoken:
    tail = rewrite_tail(ctx.frame, rewrite, thinking=manner.thinks and wants_thinking(ctx))

    def end(text: str) -> int | None:
        return None if rewrite.several and ctx.frame.chat else end_of_definition(rewrite, text)

    spoken = await talk(ctx, tail, hearer, replace(manner, over=lambda text: end(text) is not None))
    if tail.opener and (at := end(spoken.text[len(tail.opener) :])) is not None:
        spoken = replace(spoken, text=spoken.text[: len(tail.opener) + at], cut_short=False)
    if spoken.stopped:
        raise Cancelled("the request was stopped")  # half a definition is none
    return spoken


async def _proposal(task: Task, code: str, spoken: Spoken) -> Proposal:
    """The edit of an answer. Raises `Unusable`. Reading a long file again takes a while: not on the event loop."""
    edits = await asyncio.to_thread(_checked, task, _finished(code) if spoken.cut_short else code)
    return Proposal(
        path=task.path,
        label=task.label,
        base=task.base,
        edits=edits,
        creates=task.creates,
        thinking=spoken.thinking,
        cost=spoken.cost,
    )


def _checked(task: Task, code: str) -> tuple[Edit, ...]:
    if not code.strip():
        raise Unusable("it holds no code")
    edits = task.take(code)
    check(task.path, task.base, edits, task.allowed)
    return edits


def end_of_definition(rewrite: Rewrite, text: str) -> int | None:
    """Where what follows a definition's opening leaves it again, as a base model's answer does; None while it has not.

    A line that is indented no deeper than the definition is the next thing, unless it closes a bracket or is inside of
    a string.
    """
    if not rewrite.opening.strip():
        return None
    margin = len(rewrite.opening) - len(rewrite.opening.lstrip())
    ended = rewrite.opening.endswith("\n")  # what follows begins a line
    whole, start = rewrite.opening + text, len(rewrite.opening) - ended
    for found in re.compile(rf"\n[ \t]{{0,{margin}}}(?=[^\s)\]}}#])").finditer(whole, start):
        if not lexical_state(whole, found.start()).in_string:
            return max(0, found.start() - len(rewrite.opening))
    return None


def _finished(code: str) -> str:
    """Code that a limit cut short, without the statement that it was in. Raises `Unusable` where nothing is left."""
    lines = code.split("\n")
    margin = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    starts = [n for n, line in enumerate(lines) if line[margin : margin + 1].strip(" \t)]}")]
    if len(starts) < 2:
        raise Unusable("it is too long and does not come to an end")
    return "\n".join(lines[: starts[-1]])


def token_limit(task: Task) -> int:
    """How many tokens one answer may take."""
    return min(MAX_TOKENS, task.expected_chars // _CHARS_PER_TOKEN + _SPARE_TOKENS)


def _manner(task: Task) -> Manner:
    return Manner(max_tokens=token_limit(task), code=True, thinks=task.thinks)


def _key(ctx: FeatureContext, task: Task) -> str:
    """Equal for what would be asked in the same way of the same model about the same text."""
    return digest_text(
        "\0".join((ctx.model.path, ctx.model.name, task.path, task.base.digest, repr((task.rewrite, task.unseen))))
    )
