"""Prefill, decode and cancelling through an engine client, as the server asks for them, in turns with llama-bench.

Event loop only. What is asked is ordinary source; texts are tokenised before a clock starts, as theirs are.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gemma_lsp.base.errors import GemmaLspError
from gemma_lsp.bench.basics.llama import LlamaBench
from gemma_lsp.bench.basics.types import Cancelled, Pace, Spread
from gemma_lsp.engine.client import EngineClient, GenerateOptions
from gemma_lsp.engine.messages import Delta, Finished, Priority, Progress
from gemma_lsp.prompt.segments import Prompt, Region, Segment

LIMIT_S = 600.0
_WORKSPACE, _OTHER = "bench", "bench/other"
_FEWEST = 8  # tokens of an answer from which a rate can be told
_LINES = 8  # of a segment
_SLICE_S = 0.3  # some, so that cancels come at any moment of one

Say = Callable[[str], None]


class SpeedError(GemmaLspError):
    """The model does not lend itself to being measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeedOptions:
    """Tokens of one prefill and of one answer, and how often each is measured; so many `answers` in one turn."""

    n_prompt: int = 1024
    n_decode: int = 64
    runs: int = 5
    answers: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Speeds:
    """Decoding token by token, as llama-bench does it, and with guessed tokens, as the product does."""

    prefill: Pace
    decode: Pace
    decode_guessing: Pace


@dataclass(frozen=True, slots=True)
class _Rate:
    tokens: int
    client: float
    engine: float


async def pieces_of(client: EngineClient, source: str, n_tokens: int) -> Prompt:
    """Segments of whole lines, of at least `n_tokens` together. Raises `SpeedError`."""
    lines = source.splitlines(keepends=True)
    segments = [Segment(Region.BODY, "".join(lines[i : i + _LINES])) for i in range(0, len(lines), _LINES)]
    total = 0
    for n, count in enumerate(await client.count(segments), 1):
        total += count
        if total >= n_tokens:
            return tuple(segments[:n])
    raise SpeedError(f"the source to measure with has only {total} tokens, and {n_tokens} are wanted")


async def measure_speed(
    client: EngineClient, source: str, options: SpeedOptions, theirs: LlamaBench | None, say: Say
) -> Speeds:
    """All three in turns with llama-bench, which does not guess. Raises `GemmaLspError`."""
    ours = _Ours(client, await pieces_of(client, source, options.n_prompt))
    slices = await ours.warm_up()
    prefills, plain, guessed = list[_Rate](), list[_Rate](), list[_Rate]()
    whole, sliced, steps = list[float](), list[float](), list[float]()
    for run in range(options.runs):
        say(f"prefill and decode: {run + 1} of {options.runs}")
        prefills.append(await ours.prefill(run))
        n_prompt = prefills[-1].tokens
        if theirs is not None:
            whole.append(await asyncio.to_thread(theirs.prefill, n_prompt))
        for _ in range(options.answers):
            plain.append(await ours.decode(run, options.n_decode, guess=False))
            if theirs is not None:
                steps.append(await asyncio.to_thread(theirs.decode, plain[-1].tokens, n_prompt))
            guessed.append(await ours.decode(run, options.n_decode, guess=True))
        if theirs is not None:
            sliced.append(await asyncio.to_thread(theirs.prefill, n_prompt, slices))
    return Speeds(
        prefill=_pace(prefills, whole, sliced), decode=_pace(plain, steps), decode_guessing=_pace(guessed, steps)
    )


async def measure_cancel(client: EngineClient, source: str, options: SpeedOptions, say: Say) -> Cancelled:
    """Cancels prefills at random moments of a slice; the next request is tiny and as unimportant. Raises
    `GemmaLspError`.
    """
    pieces = await pieces_of(client, source, options.n_prompt)
    chance, freed, idle = random.Random(0), list[float](), list[float]()
    for run in range(2 * options.runs):
        say(f"cancelling: {run + 1} of {2 * options.runs}")
        prompt = (Segment(Region.BODY, f"# cancelled {run}\n"), *pieces)
        await client.count(prompt)
        freed.append(await _freed_ms(client, prompt, chance.random() * _SLICE_S))
        start = time.perf_counter()
        await _tiny(client)
        idle.append(1000 * (time.perf_counter() - start))
    return Cancelled(ms=Spread.of(freed), tiny_ms=Spread.of(idle))


async def tokens_mb_per_s(client: EngineClient, source: str) -> float:
    """How fast the engine tokenises source that it has not seen, 10**6 bytes a second; sending it is part of it."""
    lines = source.splitlines(keepends=True)
    segments = [Segment(Region.BODY, "".join(lines[i : i + 40])) for i in range(0, len(lines), 40)]
    await client.count(segments[:1])  # a table of the vocabulary comes first, once
    start = time.perf_counter()
    await client.count(segments[1:])
    return len(source.encode()) / 1e6 / max(time.perf_counter() - start, 1e-9)


class _Ours:
    """Our side. Every prefill begins with another line, so that nothing can be reused."""

    def __init__(self, client: EngineClient, pieces: Prompt) -> None:
        self._client, self._pieces = client, pieces

    async def warm_up(self) -> int:
        """One unmeasured run; the size of a slice in tokens."""
        steps: list[int] = [0]
        prompt = await self._prompt(-1)
        await self._client.warm(_WORKSPACE, prompt, lambda progress: steps.append(progress.done))
        return max((b - a for a, b in itertools.pairwise(steps)), default=0)

    async def prefill(self, run: int) -> _Rate:
        prompt = await self._prompt(run)
        start = time.perf_counter()
        async with asyncio.timeout(LIMIT_S):
            finished = await self._client.warm(_WORKSPACE, prompt, _ignore)
        seconds = time.perf_counter() - start
        tokens = finished.cost.evaluated
        return _Rate(tokens, tokens / max(seconds, 1e-9), 1000 * tokens / max(finished.cost.prompt_ms, 1e-6))

    async def decode(self, run: int, n_tokens: int, *, guess: bool) -> _Rate:
        """The first token belongs to the prompt's evaluation and is not counted."""
        prompt = (*await self._prompt(run), Segment(Region.REQUEST, "\n"))
        options = GenerateOptions(max_tokens=n_tokens, guess=guess)
        first, finished = 0.0, None
        async with asyncio.timeout(LIMIT_S):
            async for event in self._client.generate(_WORKSPACE, prompt, options):
                if isinstance(event, Delta):
                    first = first or time.perf_counter()
                elif isinstance(event, Finished):
                    finished = event
        end = time.perf_counter()
        if finished is None or finished.cost.generated < _FEWEST:
            raise SpeedError("the model ended its answer after a few tokens; measure with another --model")
        tokens = finished.cost.generated - 1
        inside = finished.cost.total_ms - finished.cost.first_token_ms
        return _Rate(tokens, tokens / max(end - first, 1e-9), 1000 * tokens / max(inside, 1e-6))

    async def _prompt(self, run: int) -> Prompt:
        prompt = (Segment(Region.BODY, f"# run {run}\n"), *self._pieces)
        await self._client.count(prompt)
        return prompt


async def _freed_ms(client: EngineClient, prompt: Prompt, after_s: float) -> float:
    """Cancels a prefill so long after its first slice."""
    going = asyncio.Event()
    warming = asyncio.create_task(client.warm(_WORKSPACE, prompt, lambda progress: going.set()))
    async with asyncio.timeout(LIMIT_S):
        await going.wait()
    await asyncio.sleep(after_s)
    start = time.perf_counter()
    warming.cancel()
    await asyncio.wait([warming])
    await _tiny(client)
    return 1000 * (time.perf_counter() - start)


async def _tiny(client: EngineClient) -> None:
    options = GenerateOptions(priority=Priority.WARM, max_tokens=0)
    prompt = (Segment(Region.BODY, "x = 1\n"),)
    async with asyncio.timeout(LIMIT_S):
        async for _ in client.generate(_OTHER, prompt, options):
            pass


def _pace(ours: Sequence[_Rate], theirs: Sequence[float], sliced: Sequence[float] = ()) -> Pace:
    pairs = [mine.client / other for mine, other in zip(ours, theirs, strict=False)]
    return Pace(
        tokens=ours[-1].tokens,
        ours=Spread.of([rate.client for rate in ours]),
        engine=Spread.of([rate.engine for rate in ours]),
        theirs=Spread.of(theirs) if theirs else None,
        theirs_sliced=Spread.of(sliced) if sliced else None,
        pairs=Spread.of(pairs) if pairs else None,
    )


def _ignore(progress: Progress) -> None:
    """Nobody looks."""
