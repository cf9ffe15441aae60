"""One bench from start to end: history, cost through the engine, fidelity and facts through a driver."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from gemma_lsp.bench.driver import Driver
from gemma_lsp.bench.editing import COMPARED, FOLDED, Arm, Editing, TokenCounter
from gemma_lsp.bench.history import History, HistoryError, read_history
from gemma_lsp.bench.llama_server import ServerOptions, both, find_llama_server
from gemma_lsp.bench.replay.against import replay_theirs
from gemma_lsp.bench.replay.costs import CostRow, Start, replay
from gemma_lsp.bench.replay.counting import CountingBackend
from gemma_lsp.bench.replay.facts import MILESTONES, FactsOptions, run_facts
from gemma_lsp.bench.replay.fidelity import TRUTH_TOKENS, replay_fidelity
from gemma_lsp.bench.replay.moments import Script, script_of
from gemma_lsp.bench.replay.report import About, Report
from gemma_lsp.bench.replay.traces import Trace, TraceReport, play
from gemma_lsp.bench.replay.ways import ways_for
from gemma_lsp.bench.session import Load, LoadOptions, Say, session, tokens_of
from gemma_lsp.engine.backend import Backend, tail_room
from gemma_lsp.engine.messages import ModelInfo
from gemma_lsp.kv.splice import BEFORE, BEHIND

NO_FACTS = "facts: no function stands in full in the first part of the prompt; raise --n-ctx"
MIN_CTX = 512  # of a model of which only the vocabulary is used
NO_SHIFT = "splice, both: this model or build of llama.cpp cannot move cells; nothing was spliced"
FACT_TOKENS = 24  # that a line with a fact takes at most, where tokens are not much shorter than usual
ONE_TRUNK = 2  # contexts that one trunk with its masked cells, errata and tails fits into
CELLS = 5  # contexts that three trunks with their masked cells and errata fit into


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchOptions:
    """What is replayed. `steps` 0 leaves the replay out, `facts` 0 the facts; `rev` "" takes the last commits.

    `rewarms`: tokens that a splice reads before its place, where the window is lost; each is measured.
    `behinds`: tokens that it reads again behind its place; each is measured with each.
    `fold`: what was told goes back into the body when nobody waits, as in the server.
    `counting` computes nothing: costs in tokens only, without times, fidelity and facts.
    `against`: llama-server or its folder, which is given the file `model`; it is asked at the same moments.
    """

    repo: Path
    rev: str = ""
    steps: int = 20
    n_ctx: int = 8192
    arms: tuple[Arm, ...] = COMPARED
    fidelity: bool = True
    fold: bool = False
    counting: bool = False
    against: Path | None = None
    model: str = ""
    facts: int = 0
    milestones: tuple[int, ...] = MILESTONES
    rewarms: tuple[int, ...] = (BEFORE,)
    behinds: tuple[int, ...] = (BEHIND,)
    seed: int = 0


def run_bench(options: BenchOptions, load: Load, say: Say) -> Report:
    """Measures. Blocks for as long as the model needs; `say` hears where it is. Raises `GemmaLspError`."""
    if not options.steps and (options.counting or not options.facts):
        raise HistoryError("nothing is to be replayed; give --steps or --facts; facts cannot be only counted")
    if options.against and (options.counting or not options.steps):
        raise HistoryError("llama-server is asked after commits and does compute: leave --count-only, give --steps")
    history = read_history(options.repo, rev=options.rev, steps=max(1, options.steps))
    report = asyncio.run(_costs(options, history, load, say)) if options.steps else None
    if report is None or (not options.counting and (options.facts or options.fidelity)):
        report = _truth(options, history, report, load, say)
    return report


async def _costs(options: BenchOptions, history: History, load: Load, say: Say) -> Report:
    program = find_llama_server(options.against) if options.against else None
    say("loading the model")
    starts: list[Start] = []
    rows: list[CostRow] = []
    async with session(_backend(options, load)) as running:
        script = script_of(running.editing(history), history.commits, options.fold)
        if Arm.EARLY in options.arms:  # the server finds it out, too, once something is resident
            await asyncio.to_thread(running.backend.try_shifts)
        for arm in (a for a in options.arms if a not in FOLDED):
            start, more = await replay(running.client, script, arm, say)
            starts.append(start)
            rows += more
        if program:
            server = ServerOptions(
                program=program, model=options.model, n_ctx=options.n_ctx, threads=running.model.threads
            )
            with both(server) as servers:
                theirs = await replay_theirs(servers, script, partial(tokens_of, running.backend), say)
            starts += theirs[0]
            rows += theirs[1]
    return Report(
        about=_about(options, history, running.model), starts=tuple(starts), costs=tuple(rows), left_out=script.left_out
    )


def run_trace(options: BenchOptions, trace: Trace, keys: int, load: Load, say: Say) -> TraceReport:
    """Plays the first `keys` transactions of a recorded session. Blocks; raises `GemmaLspError`."""
    return asyncio.run(_played(options, trace, keys, load, say))


async def _played(options: BenchOptions, trace: Trace, keys: int, load: Load, say: Say) -> TraceReport:
    say("loading the model")
    history = read_history(options.repo, rev=options.rev, steps=1)
    async with session(_backend(options, load)) as running:
        rows = await play(running.client, running.editing(history), trace, keys, say)
    return TraceReport(about=asdict(_about(options, history, running.model)), rows=tuple(rows))


def _backend(options: BenchOptions, load: Load) -> Backend:
    if options.counting:
        return CountingBackend(load(LoadOptions(n_ctx=MIN_CTX)), options.n_ctx)
    return load(LoadOptions(n_ctx=options.n_ctx))


def _truth(options: BenchOptions, history: History, report: Report | None, load: Load, say: Say) -> Report:
    found = report
    if options.steps and options.fidelity:
        say("loading the model")
        driver = Driver(load(LoadOptions(n_ctx=CELLS * options.n_ctx, n_trunks=len(COMPARED), n_outputs=TRUTH_TOKENS)))
        try:
            model = _shrunk(driver, options)
            scored = replay_fidelity(driver, _script(history, model, driver.backend), say)
        finally:
            driver.close()
        found = replace(found or Report(about=_about(options, history, model)), fidelity=tuple(scored))
    if options.facts:
        found = _facts(options, history, found, load, say)
    assert found is not None
    return found


def _facts(options: BenchOptions, history: History, report: Report | None, load: Load, say: Say) -> Report:
    say("loading the model")
    shifts = not set(FOLDED).isdisjoint(options.arms)
    cells = ONE_TRUNK * options.n_ctx
    driver = Driver(load(LoadOptions(n_ctx=cells, n_outputs=TRUTH_TOKENS, shifts=shifts)))
    try:
        model = _shrunk(driver, options)
        able = driver.backend.can.shift
        arms = options.arms if able else [arm for arm in options.arms if arm not in FOLDED]
        todo = FactsOptions(
            n=options.facts,
            ways=ways_for(arms, options.rewarms, options.behinds),
            milestones=options.milestones,
            seed=options.seed,
        )
        room = FACT_TOKENS * options.facts  # so that all of them can go into the body
        facts = run_facts(driver, lambda: _editing(history, model, driver.backend, room), todo, say)
    finally:
        driver.close()
    found = report or Report(about=_about(options, history, model))
    missing = (*(() if facts else (NO_FACTS,)), *((NO_SHIFT,) if shifts and not able else ()))
    return replace(found, facts=facts, left_out=(*found.left_out, *missing))


def _shrunk(driver: Driver, options: BenchOptions) -> ModelInfo:
    """The model with the context that is asked about: the cells beyond it hold other arms and what is masked."""
    return replace(driver.backend.info, n_ctx=options.n_ctx, n_tail=tail_room(options.n_ctx))


def _script(history: History, model: ModelInfo, backend: Backend) -> Script:
    return script_of(_editing(history, model, backend), history.commits)


def _editing(history: History, model: ModelInfo, backend: Backend, room: int = 0) -> Editing:
    return Editing(history, model, TokenCounter(backend.tokenize), room)


def _about(options: BenchOptions, history: History, model: ModelInfo) -> About:
    return About(
        repo=history.name,
        rev=options.rev or f"{history.start[:12]}..{history.end[:12]}",
        start=history.start,
        model=model.name,
        build=model.build,
        n_ctx=options.n_ctx,
        n_swa=model.n_swa,
        threads=model.threads,
        counted_only=options.counting,
    )
