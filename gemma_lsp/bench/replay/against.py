"""The same moments on llama-server: each prompt with every edit in its place, as one would send it. Event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from gemma_lsp.bench.editing import Arm
from gemma_lsp.bench.llama_server import LlamaServer
from gemma_lsp.bench.replay.costs import CostRow, Start
from gemma_lsp.bench.replay.moments import Script
from gemma_lsp.prompt.segments import Prompt

Tokens = Callable[[Prompt], list[int]]


async def replay_theirs(
    servers: Mapping[str, LlamaServer], script: Script, tokens: Tokens, say: Callable[[str], None]
) -> tuple[list[Start], list[CostRow]]:
    """Asks for one token at each moment; what was evaluated beyond the request's own tail counts as body."""
    starts, rows = [], []
    for name, server in servers.items():
        say(f"{name}: the start")
        cold = await asyncio.to_thread(server.first_token, tokens(script.starts[Arm.RECOMPUTE]))
        starts.append(Start(arm=name, tokens=cold.evaluated, ms=cold.ms))
    for number, moment in enumerate(script.moments, 1):
        question = moment.question
        prompt = tokens((*question.heads[Arm.RECOMPUTE], *question.tail))
        n_tail = len(tokens(question.tail)) - len(tokens(()))
        for name, server in servers.items():
            say(f"{name}: {number} of {len(script.moments)}")
            answered = await asyncio.to_thread(server.first_token, prompt)
            tail = min(answered.evaluated, n_tail)
            rows.append(
                CostRow(
                    arm=name,
                    label=question.label,
                    path=moment.path,
                    changed=moment.changed,
                    prompt=len(prompt),
                    reused=len(prompt) - answered.evaluated,
                    tail=tail,
                    errata=0,
                    body=answered.evaluated - tail,
                    hidden=0,
                    exact="--cache-reuse" not in server.flags,
                    laid_out=moment.laid_out,
                    idle=0,
                    generated=1,
                    first_token_ms=answered.ms,
                )
            )
    return starts, rows
