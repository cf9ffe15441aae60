"""What explanations and answers to questions share: the streaming talk with the model, and the document made of it.

Cancel points: every await. Thinking is bounded: what exceeds its budget is closed, and the answer begins.
A `Speech` can be stopped by its listener at any time; what was said by then is the answer. Event loop only.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from gemma_lsp.engine.client import GenerateOptions
from gemma_lsp.engine.messages import Cost, Priority
from gemma_lsp.features.citations import NOTHING_SHOWN, Citation, Shown, look_up
from gemma_lsp.features.context import FeatureContext, request_prompt
from gemma_lsp.features.markdown import link, plain, sanitised
from gemma_lsp.generate.answers import gather, sum_costs
from gemma_lsp.generate.presets import CODE, DOCUMENT, EXPLANATION
from gemma_lsp.generate.repetition import goes_round, loop_size, without_loop
from gemma_lsp.generate.stream import AnswerParser, Piece, fence_is_closed
from gemma_lsp.prompt.frame import Thinking
from gemma_lsp.prompt.segments import Prompt, Region, Segment
from gemma_lsp.prompt.tails import RequestTail

BASE_MODEL_NOTE = (
    "These words come from a base model: it continues text and was not trained to explain. "
    "They show how gemma-lsp works, not what a model such as Gemma 4 says."
)
STOPPED_NOTE = "*Stopped before the end.*"
_CHARS_PER_TOKEN = 3  # of thoughts, which are prose with code; only the budget depends on it
_UNANSWERED = frozenset({"eos", "stop", "length"})  # reasons that end thoughts, too
_ROUNDS = 10  # of a loop in code before it counts as one; guessed

T = TypeVar("T")
OnText = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A finished answer. `markdown` is sanitised and complete; `thinking` is shown apart, if at all.

    `words` are the model's alone, "" where it said nothing. Of a stopped answer the cost is not known.
    """

    markdown: str
    thinking: str
    citations: tuple[Citation, ...]
    dropped_citations: int
    cost: Cost
    words: str = ""
    stopped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """What the model said to one request, thoughts apart."""

    text: str
    thinking: str
    cost: Cost
    stopped: bool = False
    cut_short: bool = False  # by the limit of tokens


class Speech:
    """Who listens to one answer, and the listener's right to end it. Used for one answer once."""

    def __init__(self, on_delta: OnText, on_thinking: OnText = lambda text: None) -> None:
        self.on_delta, self.on_thinking = on_delta, on_thinking
        self.stopped = False
        self._task: asyncio.Task[Any] | None = None

    @property
    def asked(self) -> bool:
        """Whether the model was asked at all."""
        return self._task is not None

    def stop(self) -> bool:
        """Ends the answer with what there is; False where the model was not asked yet, or has ended."""
        if self._task is None or self._task.done():
            return False
        self.stopped = True
        return self._task.cancel()

    async def unless_stopped(self, work: Coroutine[Any, Any, T]) -> T | None:
        """What the work returns, or None if the listener ended it. Cancelling the caller cancels it, too."""
        task = self._task = asyncio.ensure_future(work)
        try:
            await asyncio.wait([task])
        finally:
            task.cancel()
        return None if task.cancelled() else task.result()


Hearer = Speech | OnText
"""Whoever listens: to the words alone, or to everything and with the right to end it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How an answer is given. `max_tokens` without thoughts, 0: as the settings say. Code may repeat itself.

    `over`: whether the text of an answer that does not think, as far as it has come, is all that is wanted.
    """

    max_tokens: int = 0
    code: bool = False
    thinks: bool = True
    priority: Priority = Priority.ACTION
    over: Callable[[str], bool] | None = None


PROSE = Manner()


class _Listener:
    """Sorts one stream into thoughts and answer and passes both on.

    The opener is ours: it is passed on with the model's first word, so that whoever hears something has an answer.
    """

    def __init__(self, speech: Speech, opener: str, *, thinking: bool) -> None:
        self._parser = AnswerParser(thinking=thinking)
        self._speech = speech
        self._opener, self._begun = opener, ""
        self.thinking = ""
        self.text = ""
        self.cut_short = False

    @property
    def in_thoughts(self) -> bool:
        """Whether what comes next is still a thought."""
        return self._parser.thinking

    def hear(self, text: str) -> None:
        """More of the stream."""
        if self._opener:
            self._begun += text
            if not self._begun.strip():
                return
            text, self._opener = self._opener + self._begun, ""
        self._take(self._parser.feed(text))

    def end(self) -> None:
        """The end of the stream."""
        self._take(self._parser.finish())

    def _take(self, pieces: list[Piece]) -> None:
        for piece in pieces:
            if piece.thinking:
                self.thinking += plain(piece.text)
                self._speech.on_thinking(plain(piece.text))
                continue
            text = plain(piece.text if self.text else piece.text.lstrip("\n"))
            self.text += text
            if text:
                self._speech.on_delta(text)


async def talk(ctx: FeatureContext, tail: RequestTail, hearer: Hearer, manner: Manner = PROSE) -> Spoken:
    """Streams one answer, thoughts apart, never markers."""
    speech = hearer if isinstance(hearer, Speech) else Speech(hearer)
    listener = _Listener(speech, tail.opener, thinking=manner.thinks and _opens_thinking(ctx))
    cost = await speech.unless_stopped(_hear(ctx, tail, listener, manner))
    listener.end()
    if manner.code and cost is not None and not listener.text:
        listener.text = tail.opener  # of code that is all of ours, a feature may say what is missing
    words, thinking = listener.text.rstrip(), listener.thinking.strip()
    if cost is not None and not words:
        words, thinking = thinking, ""  # whoever puts all into thoughts has answered there
    return Spoken(
        text=words if manner.code else without_loop(words),
        thinking=thinking,
        cost=cost or Cost(),
        stopped=cost is None,
        cut_short=listener.cut_short,
    )


async def _hear(ctx: FeatureContext, tail: RequestTail, listener: _Listener, manner: Manner) -> Cost:
    """Has the model answer, and go on where its thoughts took too long or were all that it said."""
    prompt = request_prompt(ctx, tail.segments)
    budget = _Budget(ctx, _enough(tail, manner)) if manner.thinks and wants_thinking(ctx) else None
    answer = await gather(ctx.engine, ctx.workspace, prompt, _options(ctx, tail, manner, budget), listener.hear)
    cost, thoughts = answer.cost, ctx.frame.thinking
    broken_off = budget is not None and budget.spent and answer.reason in ("enough", "cancelled")
    silent = listener.in_thoughts and not listener.text.strip() and answer.reason in _UNANSWERED
    if thoughts and budget and (broken_off or silent):
        said = _with_marks(answer.text, thoughts)
        if listener.in_thoughts:
            said += (Segment(Region.REQUEST, thoughts.close, special=True),)
            listener.hear(thoughts.close)
        options = _options(ctx, tail, manner, words=listener.text)
        rest = await gather(ctx.engine, ctx.workspace, (*prompt, *said), options, listener.hear)
        cost, answer = sum_costs(cost, rest.cost), rest
    listener.cut_short = answer.reason in ("length", "deadline")
    return cost


def _with_marks(said: str, thoughts: Thinking) -> Prompt:
    """What the model has said, to go on from; its marks around thoughts are the tokens that it wrote."""
    marks = (thoughts.open, thoughts.close)
    parts = re.split("(" + "|".join(map(re.escape, marks)) + ")", said)
    return tuple(Segment(Region.REQUEST, part, special=part in marks) for part in parts if part)


def document(ctx: FeatureContext, title: str, place: str, spoken: Spoken, shown: Shown = NOTHING_SHOWN) -> Explanation:
    """The answer as one Markdown document: title, place, the words, the citations, and what to think of it."""
    cited = look_up(sanitised(spoken.text), ctx.index, ctx.link_base, shown)
    parts = [f"# {title}", place, cited.text.strip() or "*The model said nothing.*"]
    if cited.found:
        lines = (f"- {link(c.path, c.line, ctx.link_base)}" for c in cited.found)
        parts.append("## Cited\n\n" + "\n".join(lines))
    if cited.dropped:
        parts.append(f"*Quotes that stand in no file, and are therefore not linked: {cited.dropped}.*")
    if spoken.stopped:
        parts.append(STOPPED_NOTE)
    if not ctx.frame.chat:
        parts.append(f"> {BASE_MODEL_NOTE}")
    return Explanation(
        markdown="\n\n".join(part for part in parts if part) + "\n",
        thinking=spoken.thinking,
        citations=cited.found,
        dropped_citations=cited.dropped,
        cost=spoken.cost,
        words=spoken.text,
        stopped=spoken.stopped,
    )


def wants_thinking(ctx: FeatureContext) -> bool:
    """Whether the model can think and may."""
    return ctx.frame.thinking is not None and ctx.settings.explain.thinking_tokens > 0


def _opens_thinking(ctx: FeatureContext) -> bool:
    return wants_thinking(ctx) and ctx.frame.thinking is not None and ctx.frame.thinking.opened


class _Budget:
    """Whether an answer is enough, or still in its thoughts after all that they may take, or goes round in them.

    `spent`: whether it was the thoughts that ended it. What the model says before it hears of that may end them, too.
    """

    def __init__(self, ctx: FeatureContext, enough: Callable[[str], bool]) -> None:
        self._limit = ctx.settings.explain.thinking_tokens * _CHARS_PER_TOKEN
        self._opened, self._enough = _opens_thinking(ctx), enough
        self.spent = False

    def __call__(self, text: str) -> bool:
        """Asked with the text so far."""
        parser = AnswerParser(thinking=self._opened)
        said = "".join(piece.text for piece in parser.feed(text) if not piece.thinking)
        if parser.thinking:
            self.spent = self.spent or goes_round(text) or len(text) > self._limit
        return self.spent or self._enough(said)


def _options(
    ctx: FeatureContext, tail: RequestTail, manner: Manner, budget: _Budget | None = None, *, words: str = ""
) -> GenerateOptions:
    """With a budget for thoughts, or behind these words of the answer."""
    settings, enough = ctx.settings.explain, _enough(tail, manner)
    prose = EXPLANATION if ctx.frame.chat else DOCUMENT
    return GenerateOptions(
        priority=manner.priority,
        max_tokens=(manner.max_tokens or settings.max_tokens) + (settings.thinking_tokens if budget else 0),
        stop=tail.stop,
        sampling=CODE if manner.code else prose,
        enough=budget or (lambda text: enough(words + text)),
    )


def _enough(tail: RequestTail, manner: Manner) -> Callable[[str], bool]:
    return _enough_code(tail, manner) if manner.code else goes_round


def _enough_code(tail: RequestTail, manner: Manner) -> Callable[[str], bool]:
    """Whether code is complete, or goes round: tables repeat their lines, but not for ever.

    Where the fence is not our own opener, it is complete when a fence was opened and closed again.
    """

    def enough(text: str) -> bool:
        size = loop_size(text)
        if size and text.endswith(text[-size:] * _ROUNDS):
            return True
        if not tail.opener:
            return fence_is_closed(text)
        return manner.over is not None and manner.over(text)

    return enough
