"""An engine client that answers several requests in one batch: three times the tokens a second on one core.

For benches that ask hundreds of unrelated questions, where only the words count. There is no queue, no trunk and no
mask: every prompt is computed exactly, but for its beginning that another sequence holds already. Reads the prompts
and options that the features make. Event loop only; the model runs in a worker thread, one step at a time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import llama_cpp.llama_cpp as lib
import numpy as np

from gemma_lsp.backends.llama.context import LlamaBackend
from gemma_lsp.backends.llama.model import LlamaOptions
from gemma_lsp.backends.llama.sampler import LlamaSampler
from gemma_lsp.base.errors import DecodeFailed
from gemma_lsp.engine.audience import Writer
from gemma_lsp.engine.backend import tail_room
from gemma_lsp.engine.client import GenerateOptions
from gemma_lsp.engine.messages import Cost, Delta, Finished, ModelInfo, Progress, StatusReport
from gemma_lsp.prompt.segments import Prompt, Segment

N_SEQ = 8  # more gain little: a batch of 8 tokens takes twice as long as one of 1 (Qwen2.5-Coder 0.5B, one core)
_SEQ_PER_TRUNK = 3


@dataclass(slots=True, eq=False, kw_only=True)
class _Job:
    """One request. `at` is the number of tokens in the cache, `token` the last one that was sampled."""

    prompt: list[int]
    options: GenerateOptions
    sampler: LlamaSampler
    writer: Writer
    events: asyncio.Queue[Delta | Finished | Exception] = field(default_factory=asyncio.Queue)
    seq: int = -1
    at: int = 0
    token: int = -1
    generated: int = 0
    unwanted: bool = False
    started: float = 0.0
    told: list[Delta | Finished] = field(default_factory=list)


class ManyClient:
    """Implements `EngineClient`. `n_ctx` is what a prompt may take, as the prompt's planner is told."""

    def __init__(self, options: LlamaOptions, n_seq: int = N_SEQ) -> None:
        trunks = -(-n_seq // _SEQ_PER_TRUNK)
        n_all = n_seq * options.n_ctx
        self._backend = LlamaBackend(replace(options, n_ctx=n_all, n_trunks=trunks, n_outputs=max(8, n_seq)))
        self._model = replace(self._backend.info, n_ctx=options.n_ctx, n_tail=tail_room(options.n_ctx))
        self._n_batch, self._batch = options.n_batch, lib.llama_batch_init(options.n_batch, 0, 1)
        self._ctx, self._memory = self._backend._ctx, lib.llama_get_memory(self._backend._ctx)
        self._free = list(range(n_seq))
        self._held: dict[int, list[int]] = {}
        self._asked: list[_Job] = []  # all whose end was not told yet: the loop's; the other two are the thread's
        self._waiting: list[_Job] = []
        self._active: list[_Job] = []
        self._task: asyncio.Task[None] | None = None
        self.on_loading: Callable[[float], None] = lambda fraction: None

    @property
    def model(self) -> ModelInfo | None:
        """The model, loaded."""
        return self._model

    async def ready(self) -> ModelInfo:
        """The model, loaded."""
        return self._model

    async def count(self, segments: Sequence[Segment]) -> list[int]:
        """Tokens of each segment."""
        return [len(self._backend.tokenize(s.visible, s.special)) for s in segments]

    async def warm(
        self, workspace: str, prompt: Prompt, on_progress: Callable[[Progress], None], *, moves: bool = False
    ) -> Finished:
        """Nothing stays resident: done at once."""
        return Finished(id="", text="", reason="done", cost=Cost())

    async def reach(self, workspace: str, prompt: Prompt) -> Cost:
        """Nothing is kept, so nothing is needed."""
        return Cost()

    async def status(self) -> StatusReport:
        """What runs."""
        return StatusReport(id="", model=self._model, resident={}, queued=len(self._asked), running="")

    async def close(self) -> None:
        """Waits for the step that runs, and frees the model."""
        for job in self._asked:
            job.unwanted = True
        if self._task is not None:
            await asyncio.wait([self._task])
        lib.llama_batch_free(self._batch)
        self._backend.close()

    async def learn(self, memory: str, texts: Sequence[Segment]) -> int:
        """Nothing is remembered."""
        return 0

    async def generate(
        self, workspace: str, prompt: Prompt, options: GenerateOptions
    ) -> AsyncIterator[Delta | Finished]:
        """Streams an answer; see `EngineClient`. `heal`, `early` and deadlines are not kept."""
        bos = self._backend.bos
        tokens = [bos] if bos is not None else []
        for segment in prompt:
            tokens += self._backend.tokenize(segment.visible, segment.special)
        sampler = self._backend.sampler(options.sampling, tokens)
        job = _Job(prompt=tokens, options=options, sampler=sampler, writer=Writer(options.stop))
        self._asked.append(job)
        self._waiting.append(job)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())
        try:
            while True:
                event = await job.events.get()
                if isinstance(event, Exception):
                    raise event
                yield event
                if isinstance(event, Finished):
                    return
        finally:
            job.unwanted = True

    async def _work(self) -> None:
        """Steps until nobody waits. A failure ends every request."""
        while self._asked:
            try:
                await asyncio.to_thread(self._step)
            except Exception as error:
                for job in self._asked:
                    job.events.put_nowait(error)
                for jobs in (self._asked, self._active, self._waiting):
                    jobs.clear()
                return
            # Also what was asked while the step ran: the thread may have begun it, and it may have ended at once.
            for job in tuple(self._asked):
                told, job.told = job.told, []
                for event in told:
                    job.events.put_nowait(event)
                    if isinstance(event, Finished):
                        self._asked.remove(job)

    # -- the worker thread -------------------------------------------------------------------------------------------

    def _step(self) -> None:
        """Reads the prompts that there is room for, then one token of every answer."""
        while self._waiting and self._free:
            self._begin(self._waiting.pop(0))
        jobs = list(self._active)
        if jobs:
            self._decode([(job.token, job.at, job.seq) for job in jobs], range(len(jobs)))
        for n, job in enumerate(jobs):
            job.at += 1
            self._take(job, self._sampled(job, n))

    def _begin(self, job: _Job) -> None:
        job.seq, job.started = self._free.pop(), time.monotonic()
        self._active.append(job)
        start = self._share(job)
        n_last = 0
        for at in range(start, len(job.prompt), self._n_batch):
            part = job.prompt[at : at + self._n_batch]
            n_last = len(part) - 1
            last = at + len(part) == len(job.prompt)
            self._decode([(token, at + n, job.seq) for n, token in enumerate(part)], [n_last] if last else [])
        job.at = len(job.prompt)
        self._take(job, self._sampled(job, n_last))

    def _share(self, job: _Job) -> int:
        """Gives the job the longest beginning of its prompt that some sequence holds; its length in tokens.

        A windowed cache forgets beginnings, so nothing of it is shared.
        """
        best, shared = -1, 0
        for seq, held in self._held.items() if not self._model.n_swa else ():
            n = _common(held, job.prompt[:-1])
            best, shared = (seq, n) if n > shared else (best, shared)
        if best == job.seq:
            lib.llama_memory_seq_rm(self._memory, job.seq, shared, -1)
        else:
            lib.llama_memory_seq_rm(self._memory, job.seq, -1, -1)
            if shared:
                lib.llama_memory_seq_cp(self._memory, best, job.seq, 0, shared)
        self._held[job.seq] = job.prompt
        return shared

    def _take(self, job: _Job, token: int) -> None:
        """One more token of an answer, and whether it was the last."""
        job.token, reason = token, ""
        if self._backend.is_end(token):
            reason = "eos"
        else:
            job.generated += 1
            text, stopped = job.writer.write(self._backend.piece(token))
            if text:
                job.told.append(Delta(id="", text=text))
            reason = "stop" if stopped else self._reason(job)
        if reason:
            if reason != "stop":
                job.writer.flush()
            cost = Cost(
                prompt=len(job.prompt),
                evaluated=len(job.prompt),
                generated=job.generated,
                total_ms=(time.monotonic() - job.started) * 1000,
            )
            job.told.append(Finished(id="", text=job.writer.text, reason=reason, cost=cost))
            self._active.remove(job)
            self._free.append(job.seq)
            job.sampler.close()

    def _reason(self, job: _Job) -> str:
        enough = job.options.enough
        if job.unwanted or (enough is not None and job.writer.text and enough(job.writer.text)):
            return "cancelled"
        return "length" if job.generated >= job.options.max_tokens else ""

    def _decode(self, items: Sequence[tuple[int, int, int]], outputs: Sequence[int]) -> None:
        """One batch of (token, position, sequence); rows of logits for `outputs`."""
        batch, wanted = self._batch, set(outputs)
        batch.n_tokens = len(items)
        for n, (token, at, seq) in enumerate(items):
            batch.token[n], batch.pos[n] = token, at
            batch.n_seq_id[n], batch.seq_id[n][0] = 1, seq
            batch.logits[n] = int(n in wanted)
        if code := lib.llama_decode(self._ctx, batch):
            raise DecodeFailed(f"llama.cpp refused a batch with code {code}; give a smaller --n-ctx")

    def _sampled(self, job: _Job, row: int) -> int:
        sampling = job.options.sampling
        if sampling.temperature <= 0 and not sampling.grammar and sampling.repeat_penalty == 1.0:
            pointer: Any = lib.llama_get_logits_ith(self._ctx, row)
            return int(np.ctypeslib.as_array(pointer, shape=(self._model.n_vocab,)).argmax())
        return int(lib.llama_sampler_sample(job.sampler._chain, self._ctx, row))


def _common(first: Sequence[int], second: Sequence[int]) -> int:
    """Tokens that two lists begin with."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(first), len(second)))
