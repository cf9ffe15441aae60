"""Infilling tasks through the product and through the bare model, each answer tested by running it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from gemma_lsp.bench.child import Limits, run_python
from gemma_lsp.bench.complete.ask import RAW_TOKENS, Asker, Said
from gemma_lsp.bench.complete.score import (
    breaks,
    first_line,
    leaks,
    repeats_suffix,
    similarity,
    up_to_line_end,
    up_to_suffix,
)
from gemma_lsp.bench.complete.store import Store
from gemma_lsp.bench.complete.tasks import PATH, InfillTask
from gemma_lsp.bench.complete.types import Arm, Comparison, Row, compare
from gemma_lsp.bench.llama_server import LlamaServer
from gemma_lsp.engine.messages import Cost
from gemma_lsp.syntax.parse import parse
from gemma_lsp.text import Text

RAW_ARMS = (Arm.RAW, Arm.RAW_LINE, Arm.RAW_SUFFIX)
SERVER_ARMS = (Arm.SERVER, Arm.SERVER_LINE, Arm.SERVER_SUFFIX)
NAME = "solution"
_LIMITS = Limits(wall_s=10.0, cpu_s=8)


async def infill(
    asker: Asker,
    tasks: Sequence[InfillTask],
    store: Store,
    say: Callable[[str], None],
    server: LlamaServer | None = None,
) -> None:
    """Asks what the store does not know yet; each task is written when it is done."""
    for number, task in enumerate(tasks, 1):
        say(f"{number} of {len(tasks)}: {task.id}")
        rows: list[Row] = []
        if not all(store.has(task.id, arm) for arm in RAW_ARMS):
            rows += cut_rows(task, await asker.raw(task.before, task.after), RAW_ARMS)
        if not store.has(task.id, Arm.OURS):
            invoked = not task.own_line  # on an empty line a completion comes by itself
            said = await asker.in_file(NAME, PATH, task.before, task.editor_after, invoked=invoked)
            rows.append(row_of(task, Arm.OURS, said, said.text))
        if server is not None and not all(store.has(task.id, arm) for arm in SERVER_ARMS):
            rows += cut_rows(task, server_said(task, server), SERVER_ARMS)
        if rows:
            store.put(rows, comparisons([*store.rows, *rows]))


def comparisons(rows: Sequence[Row]) -> list[Comparison]:
    """Ours against each way to cut the raw answer."""
    found = (compare(rows, Arm.OURS, arm, "passed") for arm in (*RAW_ARMS, *SERVER_ARMS))
    return [comparison for comparison in found if comparison is not None]


def cut_rows(task: InfillTask, said: Said, arms: Sequence[Arm]) -> Iterator[Row]:
    """One raw answer, cut in three ways. A line end that it wrote itself is the task's own."""
    texts = (said.text, up_to_line_end(said.text), up_to_suffix(said.text, task.after))
    for arm, text in zip(arms, texts, strict=True):
        yield row_of(task, arm, said, text.removesuffix("\n") if task.own_line else text)


def server_said(task: InfillTask, server: LlamaServer) -> Said:
    """What llama-server writes to its own form of the prompt."""
    text, answered = server.infill(task.before, task.after, RAW_TOKENS)
    cost = Cost(evaluated=answered.evaluated, generated=answered.generated, total_ms=answered.ms)
    return Said(text=text, reason="llama-server", cost=cost)


def row_of(task: InfillTask, arm: str, said: Said, text: str) -> Row:
    """A completion with all that is measured about it."""
    around = (task.before, text, task.editor_after, task.truth)
    return Row(
        task=task.id,
        arm=arm,
        text=text,
        reason=said.reason,
        passed=run_python(task.program(text), _LIMITS).done,
        exact=first_line(text) == first_line(task.truth),
        similarity=round(similarity(text, task.truth), 4),
        repeats=repeats_suffix(*around),
        breaks=breaks(*around, _parses),
        leaks=leaks(text),
        prompt=said.cost.prompt if said.cost else 0,
        evaluated=said.cost.evaluated if said.cost else 0,
        generated=said.cost.generated if said.cost else 0,
        first_ms=round(said.cost.first_token_ms, 1) if said.cost and said.cost.first_token_ms else None,
        total_ms=round(said.cost.total_ms, 1) if said.cost else None,
    )


def _parses(content: str) -> bool:
    return not parse(PATH, Text(content)).error_spans
