"""What one edit costs, by its place in the prompt and the prompt's length; beside llama-server if there is one.

Event loop only. Each side is asked the same question after the same edits: ours over the resident prompt, llama-server
over the tokens of the same text with the edit in its place.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from dataclasses import dataclass
from pathlib import Path

from gemma_lsp.base.errors import EngineError
from gemma_lsp.bench.editing import Arm, Editing
from gemma_lsp.bench.edits.types import OURS, EditRow, Edits, Restart
from gemma_lsp.bench.history import History, HistoryError, read_history
from gemma_lsp.bench.llama_server import BEST, LlamaServer, ServerOptions, both, find_llama_server
from gemma_lsp.bench.replay.facts import functions_in_full, insert_line, quiet_file
from gemma_lsp.bench.session import WORKSPACE, Load, LoadOptions, Say, Session, session, tokens_of, warm
from gemma_lsp.engine.backend import Backend
from gemma_lsp.engine.client import EngineClient, GenerateOptions
from gemma_lsp.engine.messages import Cost, Delta, Finished, ModelInfo, Priority
from gemma_lsp.engine.snapshots import SnapshotStore
from gemma_lsp.generate.presets import COMPLETION
from gemma_lsp.prompt.completion_tails import Place, completion_tail, hole_tail
from gemma_lsp.prompt.segments import Prompt

PLACES = (0.1, 0.5, 0.9)
APPEND = "append"
_TYPED = ("a", "as", "ass", "asse", "asser")
_SAME_TOKENS = 16  # of the answers compared after a restart
_SNAPSHOTS = 4 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class EditsOptions:
    """`sizes`: contexts in tokens, each measured on its own; `model` is the file, for llama-server at `against`."""

    repo: Path
    sizes: tuple[int, ...]
    runs: int
    snapshots: Path
    model: str
    against: Path | None = None
    seed: int = 0


def run_edits(options: EditsOptions, load: Load, say: Say) -> Edits:
    """Measures. Raises `GemmaLspError`."""
    program = find_llama_server(options.against) if options.against else None
    history = read_history(options.repo, steps=1)
    found: list[tuple[ModelInfo, list[EditRow], Restart | None]] = []
    left_out: list[str] = []
    for size in options.sizes:
        try:
            found.append(asyncio.run(_size(options, history, load, size, program, say)))
        except HistoryError as error:
            left_out.append(str(error))
    if not found:
        raise HistoryError(left_out[-1])
    model = found[-1][0]
    return Edits(
        about={
            "repo": history.name,
            "commit": history.start,
            "model": model.name,
            "build": model.build,
            "threads": model.threads,
            "n_swa": model.n_swa,
            "runs": options.runs,
            "llama_server_best": " ".join(BEST),
            "left_out": left_out,
        },
        rows=tuple(row for _, rows, _ in found for row in rows),
        restarts=tuple(restart for _, _, restart in found if restart),
    )


async def _size(
    options: EditsOptions, history: History, load: Load, n_ctx: int, program: str | None, say: Say
) -> tuple[ModelInfo, list[EditRow], Restart | None]:
    say(f"{n_ctx:,} tokens: loading the model")
    folder = options.snapshots / str(n_ctx)
    async with _session(load, n_ctx, folder) as running:
        editing = running.editing(history)
        whole = editing.resident.whole
        say(f"{n_ctx:,} tokens: reading {editing.count.total(whole):,} tokens")
        cold = await warm(running.client, whole)
        asked = (*whole, *question(editing, "x = "))
        first = await _answer(running.client, asked, _SAME_TOKENS)
        with contextlib.ExitStack() as stack:
            sides = _servers(stack, options, running.model, n_ctx, program)
            measure = _Sides(running.client, running.backend, editing, sides, n_ctx, say)
            rows = await measure.all(options.runs, random.Random(options.seed))
    say(f"{n_ctx:,} tokens: starting again")
    restart = await _restart(load, n_ctx, folder, asked, _Answer(first.text, cold.total_ms + first.ms, first.cost))
    return running.model, rows, restart


def _servers(
    stack: contextlib.ExitStack, options: EditsOptions, model: ModelInfo, n_ctx: int, program: str | None
) -> dict[str, LlamaServer]:
    if program is None:
        return {}
    server = ServerOptions(program=program, model=options.model, n_ctx=n_ctx, threads=model.threads)
    return stack.enter_context(both(server))


def _session(load: Load, n_ctx: int, folder: Path) -> contextlib.AbstractAsyncContextManager[Session]:
    return session(load(LoadOptions(n_ctx=n_ctx)), lambda identity: SnapshotStore(folder, identity, _SNAPSHOTS))


async def _restart(load: Load, n_ctx: int, folder: Path, asked: Prompt, cold: _Answer) -> Restart | None:
    """The first question again, in an engine that knows only what is on disk; None where nothing was kept."""
    async with _session(load, n_ctx, folder) as running:
        answer = await _answer(running.client, asked, _SAME_TOKENS)
    if not answer.cost.restored:
        return None
    return Restart(
        n_ctx=n_ctx,
        prompt=answer.cost.prompt,
        restored=answer.cost.restored,
        evaluated=answer.cost.evaluated,
        ms=answer.ms,
        cold_ms=cold.ms,
        same_answer=answer.text == cold.text,
    )


def question(editing: Editing, before: str) -> Prompt:
    """Code that someone types in a new file, behind the text that is out of the body."""
    hole = editing.resident.hole
    held = hole_tail(hole.path, hole.text.slice(hole.span)) if hole else ()
    place = Place(path="tests/test_limits.py", before=f"def test_limits():\n    {before}", after="\n")
    return (*held, *completion_tail(editing.frame, place).segments)


@dataclass(frozen=True, slots=True)
class _Answer:
    text: str
    ms: float  # to the first token
    cost: Cost


async def _answer(client: EngineClient, prompt: Prompt, n_tokens: int) -> _Answer:
    # How many tokens are guessed at once depends on what that costs just now, and other batches round otherwise.
    options = GenerateOptions(priority=Priority.COMPLETION, max_tokens=n_tokens, sampling=COMPLETION, guess=False)
    text, start, first = "", time.perf_counter(), 0.0
    async for event in client.generate(WORKSPACE, prompt, options):
        first = first or 1000 * (time.perf_counter() - start)
        if isinstance(event, Delta):
            text += event.text
        elif isinstance(event, Finished):
            return _Answer(text, first, event.cost)
    raise EngineError("the engine did not finish; run the bench again")


@dataclass(slots=True)
class _Sides:
    """One size: everybody who is asked, and the text that is being edited."""

    client: EngineClient
    backend: Backend
    editing: Editing
    servers: dict[str, LlamaServer]
    n_ctx: int
    say: Say

    async def all(self, runs: int, chance: random.Random) -> list[EditRow]:
        """Edits at every place, then keys typed at the end; all of it `runs` times."""
        full = functions_in_full(self.editing)
        quiet = quiet_file(self.editing) if full else ""
        homes = [home for home in full if home[0] != quiet]
        if not homes:
            raise HistoryError(f"fewer than two files stand in full in {self.n_ctx:,} tokens; choose larger --sizes")
        self._look(quiet)
        await self._ask("start", "x = ", 0)
        rows: list[EditRow] = []
        for run in range(runs):
            for place in PLACES:
                self.say(f"{self.n_ctx:,} tokens: an edit at {place:.0%}, {run + 1} of {runs}")
                path, qualified, _ = min(homes, key=lambda home: (abs(home[2] - place), chance.random()))
                line = f"LIMIT_{run}_{place * 100:.0f} = {chance.randrange(1000, 9999)}\n"
                insert_line(self.editing, path, qualified, line)
                self._look(quiet)
                rows += await self._ask(f"{place:.0%}", "x = ", len(self.backend.tokenize(line, False)))
            for typed in _TYPED:
                found = await self._ask(APPEND, f"x = {typed}", 1)
                rows += found if typed != _TYPED[0] else ()
            await self._ask("back", "x = ", 0)
        return rows

    async def _ask(self, what: str, before: str, changed: int) -> list[EditRow]:
        head, tail = self.editing.head(Arm.ERRATA), question(self.editing, before)
        answer = await _answer(self.client, (*head, *tail), 1)
        cost = answer.cost
        beyond = sum(n for region, n in cost.evaluated_by_region.items() if region in ("errata", "body", "preamble"))
        rows = [self._row(what, OURS, cost.prompt, changed, cost.evaluated, beyond, answer.ms)]
        exact = tokens_of(self.backend, (*self.editing.head(Arm.RECOMPUTE), *tail))
        n_tail = len(tokens_of(self.backend, tail))
        for name, server in self.servers.items():
            answered = await asyncio.to_thread(server.first_token, exact)
            over = max(0, answered.evaluated - n_tail)
            rows.append(self._row(what, name, len(exact), changed, answered.evaluated, over, answered.ms))
        return rows

    def _row(self, what: str, arm: str, prompt: int, changed: int, evaluated: int, beyond: int, ms: float) -> EditRow:
        return EditRow(
            n_ctx=self.n_ctx,
            prompt=prompt,
            what=what,
            arm=arm,
            changed=changed,
            evaluated=evaluated,
            beyond=beyond,
            ms=ms,
        )

    def _look(self, quiet: str) -> None:
        self.editing.look(quiet, len(self.editing.resident.index.files[quiet].text.content))
