"""What comes next is prepared while the user looks at an answer, when nothing else is to be done.

Two places are prepared, the end of the suggestion and, if nothing follows there, the start of the next line as an
editor would indent it. What is found waits in the cache of completions. Then, if the user goes on looking, the code
that is most like this place by now is read. Event loop only, but for `_ahead`.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from gemma_lsp.features.context import FeatureContext
from gemma_lsp.features.generation import (
    Ask,
    Spot,
    generate,
    key_of,
    origin_of,
    renew_similar,
    similar_is_outdated,
    spot_at,
)
from gemma_lsp.prompt.resident import Focus
from gemma_lsp.text import Text

SETTLED_S = 1.0  # without a key, after which one is looking or thinking; guessed

_UNIT = "    "
_LEAVES = ("return", "raise", "break", "continue", "pass")


def prefetch(ctx: FeatureContext, spot: Spot, text: str) -> None:
    """Begins to prepare for a suggestion, or for none; an edit that leads elsewhere ends it (`Generations.edited`)."""
    ctx.memory.generations.look_ahead(origin_of(ctx, spot), text, _prepare(ctx, spot, text, ctx.memory.n_edits))


def next_line(line: str) -> str:
    """The line break and the indentation that an editor puts after a line of Python."""
    indent = line[: len(line) - len(line.lstrip(" \t"))]
    words = line.split(maxsplit=1)
    if line.rstrip().endswith(":"):
        return f"\n{indent}{_UNIT}"
    if words and words[0] in _LEAVES:
        indent = indent.removesuffix(_UNIT)
    return f"\n{indent}"


async def _prepare(ctx: FeatureContext, spot: Spot, text: str, n_edits: int) -> None:
    if text and ctx.settings.completion.prefetch:
        with ctx.memory.habits.running():
            await _prepare_both(ctx, spot, text)
    if similar_is_outdated(ctx, spot):
        await asyncio.sleep(SETTLED_S)
        if ctx.memory.n_edits != n_edits:  # one types what was suggested, or in another file
            return
        with ctx.memory.habits.running():
            await renew_similar(ctx, spot)


async def _prepare_both(ctx: FeatureContext, spot: Spot, text: str) -> None:
    for accepted in (text, text + next_line((spot.before + text).rpartition("\n")[2])):
        ahead, there = await asyncio.to_thread(_ahead, ctx, spot, accepted)
        if there is None:
            return
        known = ctx.memory.completions.get(key_of(ahead, there))
        if known is None:
            outcome = await generate(ahead, there, Ask(ahead=True))
            known = None if outcome.unwanted else outcome.result
        if known is None or known.text:
            return


def _ahead(ctx: FeatureContext, spot: Spot, accepted: str) -> tuple[FeatureContext, Spot | None]:
    """The state after the acceptance, as far as it can be foreseen."""
    content, offset = spot.before + accepted + spot.after, spot.offset + len(accepted)
    text = Text(content)
    index = ctx.index.with_changes(ctx.index.snapshot.with_changes({spot.path: text}))
    ahead = replace(ctx, index=index, resident=ctx.resident.with_index(index, Focus(spot.path, offset)))
    return ahead, spot_at(ahead, spot.path, text.position(offset), invoked=False)
