"""`bench explain`: our Fix and Explain on buggy functions, beside one raw chat request to the same model.

Ours are the product's own functions on a workspace that holds the one file, the function selected; nothing of the
tests is in it. The baseline gets the code alone and may write as many tokens as ours may with its one retry. What was
measured is written after each part of each task, and what is there is not measured again. Blocks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gemma_lsp.base.errors import EditError
from gemma_lsp.bench.bugs.explain_types import PARTS, ExplainReport, ExplainResult, FixResult, RawResult, Row, read_rows
from gemma_lsp.bench.bugs.room import Connect, at_a_time, engine_for, room_for
from gemma_lsp.bench.bugs.score import code_of_answer, named_lines, names_change, parses, passes
from gemma_lsp.bench.bugs.tasks import BugTask, TasksError, about_run, load_tasks, sample
from gemma_lsp.bench.child import missing_limits
from gemma_lsp.bench.keep import keep, read_kept
from gemma_lsp.config.schema import Settings
from gemma_lsp.engine.client import EngineClient, GenerateOptions
from gemma_lsp.features.actions import ExplainRequest, run_action
from gemma_lsp.features.actions.explain import explain, parsed_file
from gemma_lsp.features.actions.fix import FIX_BUG, fix_task
from gemma_lsp.features.actions.rewriting import token_limit
from gemma_lsp.features.context import FeatureContext
from gemma_lsp.generate.answers import gather
from gemma_lsp.prompt.frame import bare_chat
from gemma_lsp.text import Span

RAW_REQUEST = "Find and fix the bug in this Python code.\n\n```python\n{code}```"
RAW_TRUNK = "raw"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainOptions:
    """What is measured. `n` 0: all tasks; `again`: parts that are measured although they are there.

    `together`: how many answers at a time, which changes nothing but how long it takes.
    """

    tasks: Path
    n: int = 0
    seed: int = 0
    parts: tuple[str, ...] = PARTS
    again: tuple[str, ...] = ()
    n_ctx: int = 4096
    together: int = 1
    json_to: Path | None = None
    settings: Settings


def run_explain(options: ExplainOptions, connect: Connect, say: Say) -> ExplainReport:
    """Measures. Raises `GemmaLspError`; what was measured until then is in the file."""
    tasks = sample(load_tasks(options.tasks), options.n, options.seed)
    return asyncio.run(_run(options, tasks, connect, say))


async def _run(options: ExplainOptions, tasks: Sequence[BugTask], connect: Connect, say: Say) -> ExplainReport:
    report = ExplainReport(about={}, rows=read_kept(options.json_to, lambda data: read_rows(data["rows"])) or {})
    for row in report.rows.values():
        for part in options.again:
            setattr(row, part, None)
    for task in tasks:
        report.rows.setdefault(task.id, _row(task))
    due = [(task, part) for task in tasks for part in report.rows[task.id].missing(options.parts)]
    say("loading the model")
    async with engine_for(connect, options.n_ctx) as client:
        model = await client.ready()
        o = options
        known = about_run(o.tasks, model, n_ctx=o.n_ctx, together=o.together, sample=o.n, seed=o.seed)
        report.about = {
            **known,
            "raw_request": RAW_REQUEST,
            "not_limited": missing_limits(),
        }

        async def measure(number: int, task: BugTask, part: str) -> None:
            say(f"{number} of {len(due)}, {task.id}: {part}")
            setattr(report.rows[task.id], part, await _MEASURE[part](client, task, options.settings))
            keep(report.to_json(), options.json_to)

        await at_a_time(options.together, (measure(n, task, part) for n, (task, part) in enumerate(due, 1)))
    return report


async def measure_fix(client: EngineClient, task: BugTask, settings: Settings) -> FixResult:
    """Our fix of one task, tried."""
    ctx, request = await _asked(client, task, settings)
    try:
        proposal = await run_action(ctx, FIX_BUG, request, lambda text: None)
    except EditError as error:
        return FixResult(offered=False, refused=str(error))
    after = proposal.after.content
    diff = proposal.diff()
    return FixResult(
        offered=True,
        applies=bool(proposal.edits) and proposal.base == parsed_file(ctx, task.path).text,
        parses=parses(after),
        passes=await asyncio.to_thread(passes, task, after),
        edited=sum(line[:1] in ("+", "-") for line in diff.split("\n")[2:]),
        generated=proposal.cost.generated,
        evaluated=proposal.cost.evaluated,
        ms=round(proposal.cost.total_ms, 1),
        diff=diff,
    )


async def measure_explain(client: EngineClient, task: BugTask, settings: Settings) -> ExplainResult:
    """Our explanation of one task, read."""
    ctx, request = await _asked(client, task, settings)
    told = await explain(ctx, request, lambda text: None)
    code = task.buggy.split("\n")
    return ExplainResult(
        names=names_change(told.words, code, task.changed),
        lines=tuple(sorted(named_lines(told.words, code))),
        made=len(told.citations) + told.dropped_citations,
        found=len(told.citations),
        generated=told.cost.generated,
        ms=round(told.cost.total_ms, 1),
        words=told.words,
    )


async def measure_raw(client: EngineClient, task: BugTask, settings: Settings) -> RawResult:
    """The baseline. It may stop once it has proposed a function: what it says behind that changes nothing."""
    ctx, request = await _asked(client, task, settings)
    prompt = bare_chat(ctx.model, RAW_REQUEST.format(code=task.buggy))
    if not prompt:
        raise TasksError("the model has no chat template to compare with; choose another --model")
    limit = 2 * token_limit(fix_task(ctx, parsed_file(ctx, task.path), request))
    options = GenerateOptions(max_tokens=limit, enough=lambda text: code_of_answer(task, _closed(text)) is not None)
    answer = await gather(client, RAW_TRUNK, prompt, options)
    proposed = code_of_answer(task, answer.text)
    lines = named_lines(answer.text, task.buggy.split("\n"))
    return RawResult(
        proposed=proposed is not None,
        parses=proposed is not None and parses(proposed),
        passes=proposed is not None and await asyncio.to_thread(passes, task, proposed),
        names=not lines.isdisjoint(task.changed),
        lines=tuple(sorted(lines)),
        generated=answer.cost.generated,
        limit=limit,
        ms=round(answer.cost.total_ms, 1),
        words=answer.text,
    )


_MEASURE = {"fix": measure_fix, "explain": measure_explain, "raw": measure_raw}


async def _asked(client: EngineClient, task: BugTask, settings: Settings) -> tuple[FeatureContext, ExplainRequest]:
    """The workspace of a task, and the request with the function selected."""
    ctx = await room_for(client, {task.path: task.buggy}, task.path, settings)
    span = task.symbol().span
    return ctx, ExplainRequest(path=task.path, span=Span(span.start, span.end))


def _closed(text: str) -> str:
    """The text up to its last complete line: a fence that is still being written is none."""
    return text.rpartition("\n")[0]


def _row(task: BugTask) -> Row:
    return Row(task=task.id, n_lines=task.buggy.count("\n"), changed=tuple(sorted(task.changed)))
