"""A free question about the repository."""

from __future__ import annotations

from collections.abc import Callable

from gemma_lsp.features.context import FeatureContext
from gemma_lsp.features.markdown import escaped
from gemma_lsp.features.telling import Explanation, document, talk, wants_thinking
from gemma_lsp.prompt.tails import question_tail


async def ask(ctx: FeatureContext, question: str, on_delta: Callable[[str], None]) -> Explanation:
    """Streams the answer's words to `on_delta`; returns the whole document. Raises `EngineError`."""
    tail = question_tail(ctx.frame, question, thinking=wants_thinking(ctx))
    spoken = await talk(ctx, tail, on_delta)
    return document(ctx, escaped(question), "", spoken)
