"""Brings trunks to prompts and reads log-probabilities there: the engine's own runs and plans without its queue.

Blocks, and only one thread may use a driver.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gemma_lsp.base.errors import EngineError
from gemma_lsp.engine.audience import Listener
from gemma_lsp.engine.backend import Backend, NoSlot, ShiftFailed
from gemma_lsp.engine.messages import Delta, Event, Finished, Generate, SegmentRef, Warm
from gemma_lsp.engine.recall import Recall
from gemma_lsp.engine.run import Run
from gemma_lsp.engine.snapshots import Loaded
from gemma_lsp.engine.splicing import Scratch, apply_splice_op
from gemma_lsp.engine.texts import wanted_of
from gemma_lsp.engine.trunk import Trunk
from gemma_lsp.kv.plan import Wanted
from gemma_lsp.kv.splice import Budget, Splice, plan_splices
from gemma_lsp.prompt.segments import Prompt

LogProbs = NDArray[np.float32]


class ScoringBackend(Backend, Protocol):
    """A backend that can also say what it thinks of every token of a batch."""

    def score(self, seq: int, position: int, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Computes one batch at the sequence's end; row i, over the vocabulary, is what should follow tokens[i]."""


@dataclass(frozen=True, slots=True)
class Spliced:
    """What splices took: how many there were, tokens evaluated in their place and to warm windows, seconds."""

    splices: int = 0
    inserted: int = 0
    warmed: int = 0
    seconds: float = 0.0

    def __add__(self, other: Spliced) -> Spliced:
        return Spliced(
            self.splices + other.splices,
            self.inserted + other.inserted,
            self.warmed + other.warmed,
            self.seconds + other.seconds,
        )


class Driver:
    """Named trunks over one backend. Invariant: a trunk's ledger equals what the backend holds."""

    def __init__(self, backend: ScoringBackend) -> None:
        self.backend = backend
        self._trunks: dict[str, Trunk] = {}
        self._tokens: dict[str, array[int]] = {}

    def bring(self, name: str, prompt: Prompt, *, exact: bool) -> int:
        """Makes a prompt resident in a trunk; returns how many tokens that took."""
        return self._bring(name, self._wanted(prompt), exact=exact)

    def fork(self, source: str, target: str) -> None:
        """Gives `target` what `source` holds, for nothing; only of a trunk that hides nothing."""
        self.restore(target, self.saved(source))

    def saved(self, name: str) -> Loaded:
        """What a trunk holds, to go back to; only of one that hides nothing."""
        held = self._trunk(name)
        return Loaded(held.ledger.tokens[:], tuple(held.ledger.runs), memoryview(held.save()))

    def restore(self, name: str, saved: Loaded) -> None:
        """Goes back to what was saved."""
        trunk = self._trunk(name)
        trunk.clear()
        if not trunk.restore(replace(saved, tokens=saved.tokens[:])):
            raise EngineError("the model's state cannot be copied; run the bench with another model")

    def splice(
        self, name: str, head: Prompt, rewarm: int, behind: int = 0, abort: Callable[[], bool] | None = None
    ) -> Spliced:
        """Makes a head resident by splices, as far as it goes; what they leave is an append, or read anew.

        `rewarm`: tokens read again before a place whose window is lost; `behind`: tokens read again behind a change.
        An abort ends it between two splices or in one, and the trunk stays good.
        """
        trunk, wanted = self._trunk(name), self._wanted(head)
        budget = Budget(piece=min(256, self.backend.n_slice), behind=behind)
        found = plan_splices(trunk.ledger, wanted, self.backend.can, budget, rewarm)
        if found is None:
            return Spliced()
        scratch = Scratch(3 * self.backend.n_trunks, rewarm)
        self._settle(name)
        done, started = Spliced(), time.perf_counter()
        for op in found.ops:
            try:
                evaluated = apply_splice_op(self.backend, trunk, op, scratch, abort or _never)
            except ShiftFailed:
                for other in self._trunks.values():
                    other.clear()
                raise
            if isinstance(op, Splice):
                done += Spliced(1, len(op.tokens), evaluated - len(op.tokens))
        return done + Spliced(seconds=time.perf_counter() - started)

    def score(self, name: str, prompt: Prompt, truth: Sequence[int], *, exact: bool) -> LogProbs:
        """Log-probabilities at each place of `truth` behind a prompt, shape (len(truth), n_vocab)."""
        wanted = self._wanted(prompt)
        last = wanted[-1]
        short = Wanted(last.key + "/short", last.region, last.tokens[:-1])
        self._bring(name, [*wanted[:-1], *([short] if short.tokens else [])], exact=exact)
        return self._batch(self._trunk(name), [last.tokens[-1], *truth[:-1]])

    def score_singly(self, name: str, prompt: Prompt, truth: Sequence[int], *, exact: bool) -> LogProbs:
        """The same with one batch for each token of `truth`: what differs is the arithmetic's noise."""
        trunk = self._trunk(name)
        first = self.score(name, prompt, truth[:1], exact=exact)
        rows = [first, *(self._batch(trunk, [token]) for token in truth[:-1])]
        return np.concatenate(rows)

    def answer(
        self, name: str, prompt: Prompt, request: Generate, enough: Callable[[str], bool], recall: Recall | None = None
    ) -> Finished:
        """Generates as the engine would; `enough` hears the text so far after each token and ends the answer."""
        events: list[Event] = []
        text, reason = "", ""
        run = Run(request, Listener("", events.append), self._wanted(prompt), self.backend, recall=recall)
        trunk, full = self._trunk(name), 0
        self._settle(name)
        while not reason:
            try:
                reason = run.step(trunk, _never)
            except NoSlot:
                full += 1
                if full > 1:
                    raise EngineError("the bench's cache is full; lower --n-ctx") from None
                trunk.clear()
            text += "".join(event.text for event in events if isinstance(event, Delta))
            events.clear()
            reason = reason or ("cancelled" if text and enough(text) else "")
        run.finish(reason)
        return next(event for event in events if isinstance(event, Finished))

    def tokens(self, text: str) -> list[int]:
        """Tokens of plain text."""
        return self.backend.tokenize(text, False)

    def close(self) -> None:
        """Frees the model."""
        self.backend.close()

    def _settle(self, name: str) -> None:
        """Other trunks may lose sliding cells behind their windows when this one is given cells."""
        for other, trunk in self._trunks.items():
            if other != name:
                trunk.ledger.lose(len(trunk.ledger))

    def _batch(self, trunk: Trunk, tokens: Sequence[int]) -> LogProbs:
        start = len(trunk.ledger)
        rows = self.backend.score(trunk.seq, start, tokens)
        trunk.ledger.lose(start)
        trunk.ledger.append("scored", "answer", tokens)
        return rows

    def _bring(self, name: str, wanted: list[Wanted], *, exact: bool) -> int:
        trunk = self._trunk(name)
        self._settle(name)
        for attempt in range(2):
            request = Warm(id="", workspace=name, prompt=()) if exact else _answer_of(name)
            run = Run(request, Listener("", _ignore), list(wanted), self.backend)
            try:
                while not run.step(trunk, _never):
                    pass
            except NoSlot:
                trunk.clear()
                if attempt:
                    raise EngineError("the replay's cache is full; lower --n-ctx") from None
                continue
            spent = sum(run.spent.by_region.values())
            run.fail()
            return spent
        return 0

    def _trunk(self, name: str) -> Trunk:
        if name not in self._trunks:
            n = len(self._trunks)
            if n == self.backend.n_trunks:
                raise ValueError(f"the backend has room for {n} trunks")
            self._trunks[name] = Trunk(self.backend, 3 * n, 3 * n + 1, 3 * n + 2)
        return self._trunks[name]

    def _wanted(self, prompt: Prompt) -> list[Wanted]:
        bos = self.backend.bos
        found = [Wanted("bos", "preamble", (bos,))] if bos is not None else []
        for segment in prompt:
            if segment.key not in self._tokens:
                self._tokens[segment.key] = array("i", self.backend.tokenize(segment.text, segment.special))
            ref = SegmentRef(segment.key, segment.region.value, segment.special, segment.shown_bytes)
            found += wanted_of(ref, self._tokens[segment.key], self.backend.piece)
        return found


def _answer_of(name: str) -> Generate:
    """An answer of no tokens: the prompt is evaluated the way answers are."""
    return Generate(id="", workspace=name, prompt=(), max_tokens=0)


def _never() -> bool:
    return False


def _ignore(event: Event) -> Any:
    """Nobody listens."""
