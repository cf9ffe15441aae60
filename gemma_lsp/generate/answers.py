"""One answer from the engine, gathered: its words, why it ended and what it cost. The event loop's thread only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from gemma_lsp.engine.client import EngineClient, GenerateOptions
from gemma_lsp.engine.messages import Cost, Delta, Finished
from gemma_lsp.prompt.segments import Prompt

CUT_SHORT = frozenset({"cancelled", "superseded"})
"""Reasons of a `Finished` whose text nobody wants any more, unless it was cancelled for being enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the model said. `reason` is that of `Finished`, or "enough" where the feature had all it wanted."""

    text: str
    reason: str
    cost: Cost
    first_chance: float = 1.0

    @property
    def unwanted(self) -> bool:
        """Whether somebody else stopped it."""
        return self.reason in CUT_SHORT


async def gather(
    engine: EngineClient,
    workspace: str,
    prompt: Prompt,
    options: GenerateOptions,
    on_text: Callable[[str], None] = lambda text: None,
) -> Answer:
    """Asks and waits; `on_text` hears the text as it comes. Cancelling the task cancels the engine's work."""
    text, reason, cost, chance = "", "stop", Cost(), 1.0
    async for event in engine.generate(workspace, prompt, options):
        if isinstance(event, Finished):
            reason, cost, chance = event.reason, event.cost, event.first_chance
            if len(event.text) > len(text):
                on_text(event.text[len(text) :])
                text = event.text
        elif isinstance(event, Delta):
            text += event.text
            on_text(event.text)
    if reason == "cancelled" and options.enough and options.enough(text):
        reason = "enough"
    return Answer(text=text, reason=reason, cost=cost, first_chance=chance)


def sum_costs(first: Cost, second: Cost) -> Cost:
    """The cost of two answers in a row: sums, but for the first token's time, which is the first one's."""
    regions = Counter(first.evaluated_by_region) + Counter(second.evaluated_by_region)
    return Cost(
        prompt=first.prompt + second.prompt,
        reused=first.reused + second.reused,
        evaluated=first.evaluated + second.evaluated,
        evaluated_by_region=dict(regions),
        hidden=max(first.hidden, second.hidden),
        generated=first.generated + second.generated,
        guessed=first.guessed + second.guessed,
        guessed_right=first.guessed_right + second.guessed_right,
        exact=first.exact and second.exact,
        early=first.early or second.early,
        queued_ms=first.queued_ms + second.queued_ms,
        prompt_ms=first.prompt_ms + second.prompt_ms,
        first_token_ms=first.first_token_ms or second.first_token_ms,
        total_ms=first.total_ms + second.total_ms,
    )
