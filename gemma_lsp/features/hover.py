"""Hover: one paragraph about the symbol under the pointer, from the resident repository. Off by default.

A definition that was described is not described again until its text changes. Cancel points: every await.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gemma_lsp.base.digest import digest_text
from gemma_lsp.engine.messages import Cost, Priority
from gemma_lsp.features.actions.surroundings import callers_of, definition_at, selection_of
from gemma_lsp.features.context import FeatureContext
from gemma_lsp.features.markdown import sanitised
from gemma_lsp.features.telling import Manner, talk
from gemma_lsp.prompt.tails import Asked, Evidence, explain_tail, hover_tail
from gemma_lsp.syntax.types import ParsedFile, Symbol, SymbolKind
from gemma_lsp.text import Span

MAX_TOKENS = 120
_MANNER = Manner(max_tokens=MAX_TOKENS, thinks=False, priority=Priority.HOVER)
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A paragraph of sanitised Markdown about the word at `span`; `cost` where the model was asked."""

    markdown: str
    span: Span
    cost: Cost | None


async def hover(ctx: FeatureContext, path: str, offset: int) -> Described | None:
    """What the model says about a symbol of the workspace; None where there is none, or it is ambiguous."""
    parsed = ctx.index.files.get(path)
    word = _word(parsed, offset) if parsed is not None and ctx.settings.hover.enabled else None
    if parsed is None or word is None:
        return None
    found = _definition(ctx, path, parsed, word)
    if found is None:
        return None
    where, symbol = found
    text = ctx.index.files[where].text.slice(symbol.span)
    key = digest_text("\0".join((ctx.model.path, ctx.model.name, where, symbol.qualified, text)))
    async with ctx.memory.asking(key):
        known = ctx.memory.paragraphs.get(key)
        if known is not None:
            return Described(markdown=known, span=word, cost=None) if known else None
        paragraph, cost = await _asked(ctx, where, symbol)
        if ctx.resident.layout.entries:  # what was said before the repository was known may be said better
            ctx.memory.paragraphs.put(key, paragraph)
    return Described(markdown=paragraph, span=word, cost=cost) if paragraph else None


async def _asked(ctx: FeatureContext, where: str, symbol: Symbol) -> tuple[str, Cost]:
    parsed = ctx.index.files[where]
    selection = selection_of(parsed, symbol.span, symbol)
    callers = Evidence(callers=callers_of(ctx.index, where, symbol))
    if ctx.frame.chat:
        tail = hover_tail(ctx.frame, selection, callers)
    else:
        tail = explain_tail(ctx.frame, selection, asked=Asked.CODE, evidence=callers, thinking=False)
    spoken = await talk(ctx, tail, lambda text: None, _MANNER)
    first = spoken.text.strip().partition("\n\n")[0]
    return sanitised(_whole_sentences(first) if spoken.cut_short else first).strip(), spoken.cost


def _word(parsed: ParsedFile, offset: int) -> Span | None:
    """The word that an offset stands in or behind."""
    line = parsed.text.line_span(parsed.text.position(offset).line)
    words = _WORD.finditer(parsed.text.content, line.start, line.end)
    return next((Span(*word.span()) for word in words if word.start() <= offset <= word.end()), None)


def _definition(ctx: FeatureContext, path: str, parsed: ParsedFile, word: Span) -> tuple[str, Symbol] | None:
    """The class or function that a word names: the one defined there, else the only one, in this file or at all."""
    name = parsed.text.slice(word)
    here = definition_at(parsed, word)
    if here is not None and here.name_span == word:
        return path, here
    places = [place for place in ctx.index.definitions(name) if place[1].kind is not SymbolKind.VARIABLE]
    used = any(where == path and use.span == word for where, use in ctx.index.references(name))
    imported = any(known.span.contains(word.start) for known in parsed.imports)
    if not (used or imported):
        return None  # a word in a string or a comment
    own = [place for place in places if place[0] == path]
    return own[0] if len(own) == 1 else places[0] if len(places) == 1 else None


def _whole_sentences(text: str) -> str:
    """What a limit has left whole."""
    end = max(text.rfind(mark) for mark in (". ", ".\n", "! ", "? "))
    return text[: end + 1] if end >= 0 else text
