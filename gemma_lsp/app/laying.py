"""Lays out the body with true token counts: plan with guesses, have the plan counted, plan again. Event loop only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from gemma_lsp.app.threads import in_thread
from gemma_lsp.engine.messages import ModelInfo
from gemma_lsp.prompt.folding import folded
from gemma_lsp.prompt.layout import BYTES_PER_TOKEN, Layout, LayoutOptions, estimate, plan_layout
from gemma_lsp.prompt.resident import Resident
from gemma_lsp.prompt.segments import Segment
from gemma_lsp.syntax.index import Index

ROUNDS = 4  # the plan settles after two or three; a file that is still guessed then is off by a few tokens
BATCH = 512  # segments counted at a time, so that a completion's own count never waits long
MIN_BODY = 256
LEFT_TOKENS = 2048  # of the context for hole, request and answer; where less is left a new layout is due; guessed

AsyncCount = Callable[[Sequence[Segment]], Awaitable[list[int]]]


def budget(model: ModelInfo, wanted: int) -> int:
    """Tokens for the body: what the settings want, as far as the context holds it."""
    room = max(MIN_BODY, model.n_ctx - model.n_tail)
    return min(wanted, room) if wanted else room


def crowded(resident: Resident, model: ModelInfo) -> bool:
    """Whether what was told leaves too little of the context beside the body, masked or not."""
    if not resident.errata:
        return False
    told = sum(len(e.segment.text) for e in resident.errata) / BYTES_PER_TOKEN
    return resident.layout.n_tokens + told > model.n_ctx - min(LEFT_TOKENS, model.n_tail // 2)


async def lay_out(index: Index, options: LayoutOptions, count: AsyncCount, known: dict[str, int]) -> Layout:
    """The layout of an index. `known`: counts by segment key, added to. Cancelling stops between rounds."""
    for _ in range(ROUNDS):
        layout = await in_thread(lambda _: plan_layout(index, options, partial(_counts, known)), "layout")
        if await _counted(layout, count, known):
            break
    return layout


async def fold(resident: Resident, count: AsyncCount, known: dict[str, int]) -> Layout | None:
    """The resident's layout with the text of today; None where that does not fit."""
    layout, base, index = resident.layout, resident.base, resident.index
    for _ in range(2):
        made = await in_thread(lambda _: folded(layout, base, index, partial(_counts, known)), "layout")
        if made is None or await _counted(made, count, known):
            break
    return made


async def _counted(layout: Layout, count: AsyncCount, known: dict[str, int]) -> bool:
    """Has counted what was only guessed; whether nothing was."""
    missing = [segment for segment in layout.segments if segment.key not in known]
    for start in range(0, len(missing), BATCH):
        batch = missing[start : start + BATCH]
        known.update(zip((s.key for s in batch), await count(batch), strict=True))
    return not missing


def _counts(known: dict[str, int], segments: Sequence[Segment]) -> list[int]:
    """Counted where that was done, guessed elsewhere."""
    return [known[s.key] if s.key in known else estimate((s,))[0] for s in segments]
