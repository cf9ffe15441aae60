"""What explanations and answers to questions share: the streaming talk with the model, and the document made of it.

Cancel points: every await. Thinking is bounded: what exceeds its budget is closed, and the answer begins.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gemma_lsp.engine.client import GenerateOptions
from gemma_lsp.engine.messages import Cost, Priority
from gemma_lsp.features.citations import Citation, look_up
from gemma_lsp.features.context import FeatureContext, request_prompt
from gemma_lsp.features.markdown import link, plain, sanitised
from gemma_lsp.generate.answers import gather, sum_costs
from gemma_lsp.generate.presets import DOCUMENT, EXPLANATION
from gemma_lsp.generate.repetition import goes_round, without_loop
from gemma_lsp.generate.stream import AnswerParser, Piece
from gemma_lsp.prompt.segments import Region, Segment
from gemma_lsp.prompt.tails import RequestTail

BASE_MODEL_NOTE = (
    "These words come from a base model: it continues text and was not trained to explain. "
    "They show how gemma-lsp works, not what a model such as Gemma 4 says."
)
_CHARS_PER_TOKEN = 3  # of thoughts, which are prose with code; only the budget depends on it


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A finished answer. `markdown` is sanitised and complete; `thinking` is shown apart, if at all."""

    markdown: str
    thinking: str
    citations: tuple[Citation, ...]
    dropped_citations: int
    cost: Cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """What the model said to one request, thoughts apart."""

    text: str
    thinking: str
    cost: Cost


class _Listener:
    """Sorts one stream into thoughts and answer and passes the answer on, without loops at its end."""

    def __init__(self, on_delta: Callable[[str], None], *, thinking: bool) -> None:
        self._parser = AnswerParser(thinking=thinking)
        self._on_delta = on_delta
        self.thinking = ""
        self.text = ""

    def hear(self, text: str) -> None:
        """More of the stream."""
        self._take(self._parser.feed(text))

    def end(self) -> None:
        """The end of the stream."""
        self._take(self._parser.finish())

    def _take(self, pieces: list[Piece]) -> None:
        for piece in pieces:
            if piece.thinking:
                self.thinking += plain(piece.text)
                continue
            text = plain(piece.text if self.text else piece.text.lstrip("\n"))
            self.text += text
            if text:
                self._on_delta(text)


async def talk(ctx: FeatureContext, tail: RequestTail, on_delta: Callable[[str], None]) -> Spoken:
    """Streams one answer; `on_delta` hears the answer's text, never thoughts or markers."""
    listener = _Listener(on_delta, thinking=_opens_thinking(ctx))
    listener.hear(tail.opener)
    prompt = request_prompt(ctx, tail.segments)
    answer = await gather(ctx.engine, ctx.workspace, prompt, _options(ctx, tail, budgeted=True), listener.hear)
    cost = answer.cost
    thoughts = ctx.frame.thinking
    if thoughts and answer.reason == "enough" and not listener.text:
        said = (Segment(Region.REQUEST, answer.text), Segment(Region.REQUEST, thoughts.close, special=True))
        listener.hear(thoughts.close)
        options = _options(ctx, tail, budgeted=False)
        rest = await gather(ctx.engine, ctx.workspace, (*prompt, *said), options, listener.hear)
        cost = sum_costs(cost, rest.cost)
    listener.end()
    return Spoken(text=without_loop(listener.text.rstrip()), thinking=listener.thinking.strip(), cost=cost)


def document(ctx: FeatureContext, title: str, place: str, spoken: Spoken) -> Explanation:
    """The answer as one Markdown document: title, place, the words, the citations, and what to think of it."""
    cited = look_up(sanitised(spoken.text), ctx.index, ctx.link_base)
    parts = [f"# {title}", place, cited.text.strip() or "*The model said nothing.*"]
    if cited.found:
        lines = (f"- {link(c.path, c.line, ctx.link_base)}" for c in cited.found)
        parts.append("## Cited\n\n" + "\n".join(lines))
    if cited.dropped:
        parts.append(f"*Quotes that stand in no file, and are therefore not linked: {cited.dropped}.*")
    if not ctx.frame.chat:
        parts.append(f"> {BASE_MODEL_NOTE}")
    return Explanation(
        markdown="\n\n".join(part for part in parts if part) + "\n",
        thinking=spoken.thinking,
        citations=cited.found,
        dropped_citations=cited.dropped,
        cost=spoken.cost,
    )


def wants_thinking(ctx: FeatureContext) -> bool:
    """Whether the model can think and may."""
    return ctx.frame.thinking is not None and ctx.settings.explain.thinking_tokens > 0


def _opens_thinking(ctx: FeatureContext) -> bool:
    return wants_thinking(ctx) and ctx.frame.thinking is not None and ctx.frame.thinking.opened


def _options(ctx: FeatureContext, tail: RequestTail, *, budgeted: bool) -> GenerateOptions:
    settings = ctx.settings.explain
    thinks = budgeted and wants_thinking(ctx)
    return GenerateOptions(
        priority=Priority.ACTION,
        max_tokens=settings.max_tokens + (settings.thinking_tokens if thinks else 0),
        stop=tail.stop,
        sampling=EXPLANATION if ctx.frame.chat else DOCUMENT,
        enough=_over_budget(ctx) if thinks else goes_round,
    )


def _over_budget(ctx: FeatureContext) -> Callable[[str], bool]:
    """Whether a text is still in its thoughts after all that they may take, or goes round in circles."""
    limit = ctx.settings.explain.thinking_tokens * _CHARS_PER_TOKEN

    def over(text: str) -> bool:
        return goes_round(text) or (len(text) > limit and _still_thinks(text, opened=_opens_thinking(ctx)))

    return over


def _still_thinks(text: str, *, opened: bool) -> bool:
    parser = AnswerParser(thinking=opened)
    parser.feed(text)
    return parser.thinking
