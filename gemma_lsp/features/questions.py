"""A free question about the repository, about a selection in it, or about an answer that was given before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gemma_lsp.features.actions.surroundings import definition_at, selection_of
from gemma_lsp.features.citations import NOTHING_SHOWN, Shown
from gemma_lsp.features.context import FeatureContext
from gemma_lsp.features.markdown import escaped
from gemma_lsp.features.telling import Explanation, Hearer, document, talk, wants_thinking
from gemma_lsp.prompt.tails import Exchange, Selection, question_tail
from gemma_lsp.text import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a question is about besides the repository: a place that was selected, and what was said before."""

    path: str = ""
    span: Span | None = None
    earlier: tuple[Exchange, ...] = ()


NOTHING_MORE = About()


async def ask(ctx: FeatureContext, question: str, hearer: Hearer, about: About = NOTHING_MORE) -> Explanation:
    """Streams the answer to the hearer; returns the whole document. Raises `EngineError`."""
    selection = _selection(ctx, about)
    tail = question_tail(
        ctx.frame,
        question,
        thinking=wants_thinking(ctx),
        selection=selection,
        earlier=_bounded(about.earlier),
    )
    spoken = await talk(ctx, tail, hearer)
    first = selection.first_line - 1 if selection is not None else 0
    shown = Shown(about.path, range(first, first + len(selection.lines))) if selection is not None else NOTHING_SHOWN
    return document(ctx, escaped(question), "", spoken, shown)


def _selection(ctx: FeatureContext, about: About) -> Selection | None:
    parsed = ctx.index.files.get(about.path)
    if parsed is None or about.span is None or not parsed.text.slice(about.span).strip():
        return None
    return selection_of(parsed, about.span, definition_at(parsed, about.span))


def _bounded(earlier: Sequence[Exchange]) -> Sequence[Exchange]:
    """The last few: what was said long ago costs more than it helps."""
    return earlier[-2:]
