"""What moments cost through the engine, in process: the server's core without an editor. Event loop only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gemma_lsp.bench.editing import Arm
from gemma_lsp.bench.replay.moments import Moment, Script
from gemma_lsp.bench.session import finished, warm
from gemma_lsp.engine.client import EngineClient, GenerateOptions
from gemma_lsp.engine.messages import Cost, Priority
from gemma_lsp.features.generation import EARLY_OVER
from gemma_lsp.generate.presets import COMPLETION
from gemma_lsp.prompt.segments import Prompt

ANSWER_TOKENS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class CostRow:
    """One answer. Tokens, unless the name says ms. `tail` is hole and request; `body` has the preamble in it.

    `evaluated` is everything that the answer waited for; `idle` was evaluated after it, when nobody waited.
    """

    arm: str
    label: str
    path: str
    changed: int
    prompt: int
    reused: int
    tail: int
    errata: int
    body: int
    hidden: int
    exact: bool
    laid_out: bool
    idle: int
    generated: int
    first_token_ms: float
    early: bool = False  # answered from the file alone

    @property
    def evaluated(self) -> int:
        """Tokens that the answer waited for."""
        return self.tail + self.errata + self.body

    @property
    def beyond(self) -> int:
        """Tokens that the answer waited for beyond the request's own tail."""
        return self.errata + self.body


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """The cold prefill of one arm."""

    arm: str
    tokens: int
    ms: float


async def replay(
    client: EngineClient, script: Script, arm: Arm, say: Callable[[str], None]
) -> tuple[Start, list[CostRow]]:
    """Runs one arm from the start to the end of the history, in a trunk of its own."""
    workspace = f"bench {arm}"
    cold = await warm(client, script.starts[arm], workspace)
    rows = []
    for number, moment in enumerate(script.moments, 1):
        say(f"{arm}: {number} of {len(script.moments)}")
        rows.append(await _step(client, workspace, moment, arm))
    return Start(arm=arm, tokens=cold.evaluated, ms=cold.total_ms), rows


async def _step(client: EngineClient, workspace: str, moment: Moment, arm: Arm) -> CostRow:
    prompt = (*moment.question.heads[arm], *moment.question.tail)
    # A warm-up is exact by contract, so an exact arm waits for one and then answers from it.
    waited = [await warm(client, prompt, workspace)] if arm.exact else []
    early = moment.question.early if arm is Arm.EARLY else ()
    answer = await _answer(client, workspace, prompt, moment.question.stop, early)
    first = waited[0] if waited else answer
    spent = [*waited, answer]
    idle = []
    if moment.idle and arm in (Arm.ERRATA, Arm.EARLY):
        idle.append(await warm(client, moment.idle, workspace, moves=arm is Arm.EARLY))
    if answer.early and not idle:  # too much to wait for, too little for a new layout: it is read now
        idle.append(await _read(client, workspace, moment.question.heads[arm]))
    return CostRow(
        arm=arm,
        label=moment.question.label,
        path=moment.path,
        changed=moment.changed,
        prompt=answer.prompt,
        reused=first.reused,
        tail=_in_regions(spent, "hole", "request"),
        errata=_in_regions(spent, "errata"),
        body=_in_regions(spent, "body", "preamble"),
        hidden=answer.hidden,
        exact=answer.exact,
        laid_out=moment.laid_out,
        idle=sum(cost.evaluated for cost in idle),
        early=answer.early,
        generated=answer.generated,
        first_token_ms=sum(c.total_ms for c in waited) + answer.first_token_ms,
    )


async def _answer(client: EngineClient, workspace: str, prompt: Prompt, stop: tuple[str, ...], early: Prompt) -> Cost:
    options = GenerateOptions(
        priority=Priority.COMPLETION,
        max_tokens=ANSWER_TOKENS,
        stop=stop,
        sampling=COMPLETION,
        early=early,
        early_over=EARLY_OVER,
    )
    return (await finished(client, prompt, options, workspace)).cost


async def _read(client: EngineClient, workspace: str, prompt: Prompt) -> Cost:
    options = GenerateOptions(priority=Priority.WARM, max_tokens=0)
    return (await finished(client, prompt, options, workspace)).cost


def _in_regions(costs: list[Cost], *regions: str) -> int:
    return sum(cost.evaluated_by_region.get(region, 0) for cost in costs for region in regions)
