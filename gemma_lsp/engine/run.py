"""One request on its way through the engine: plan, evaluate in slices, sample. The engine's thread only.

A run never holds the context: between two `step`s another run may change the trunk, and the next step plans anew.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from gemma_lsp.base.errors import PromptTooLong
from gemma_lsp.engine.audience import Audience, Listener
from gemma_lsp.engine.backend import Backend, Sampler
from gemma_lsp.engine.lookup import NOTHING, Found
from gemma_lsp.engine.messages import Cost, Generate, Priority, Progress, Sampling, Warm
from gemma_lsp.engine.moves import Moves
from gemma_lsp.engine.speculation import Speculation
from gemma_lsp.engine.spent import Spent
from gemma_lsp.engine.trunk import Trunk
from gemma_lsp.engine.wanting import batch_of, ends_of, healed
from gemma_lsp.kv.plan import Plan, Policy, Wanted, plan

if TYPE_CHECKING:
    from gemma_lsp.engine.recall import Recall


class Run:
    """State of one `Generate` or `Warm` between its steps."""

    def __init__(
        self,
        request: Generate | Warm,
        listener: Listener,
        wanted: list[Wanted],
        backend: Backend,
        speculation: Speculation | None = None,
        recall: Recall | None = None,
    ) -> None:
        self.request = request
        self._heal = b""
        if isinstance(request, Generate) and request.heal:
            wanted, self._heal = healed(wanted, backend)
        self._recall = recall.backed_up(self._heal, backend.piece) if recall is not None else None
        self.wanted = self._now = wanted
        self.spent = Spent()
        self.abandoned = ""  # why it must stop: cancelled, superseded
        self.early = False
        self.stand_in: Run | None = None  # the same request with its shorter prompt
        self._backend = backend
        self._planned_on: Trunk | None = None
        self._planned_revision = -1
        self._plan: Plan | None = None
        self.moves = Moves(backend, request)
        self._at = (0, 0)
        self._audience = Audience(listener, request.stop if isinstance(request, Generate) else ())
        self._sampler: Sampler | None = None
        self._answer = array("i")
        guesses = isinstance(request, Generate) and request.guess and _is_plain(request.sampling)
        self._speculation = speculation if guesses else None
        self._streak = 0  # guesses that came true since the last wrong one
        self._n_prompt = sum(len(w.tokens) for w in wanted)
        self._body_tokens, self._head_tokens = ends_of(wanted)

    # -- what the loop asks ----------------------------------------------------------------------------------------

    @property
    def n_prompt(self) -> int:
        """Tokens of the prompt."""
        return self._n_prompt

    @property
    def n_needed(self) -> int:
        """Cells that the run may fill: prompt and answer."""
        return self._n_prompt + (self.request.max_tokens if isinstance(self.request, Generate) else 0)

    @property
    def policy(self) -> Policy:
        """A warm-up makes exact, and needs no next token; an answer takes the cheapest way."""
        warm = isinstance(self.request, Warm)
        answer = 0 if isinstance(self.request, Warm) else self.request.max_tokens
        exact_only = warm and not self.moves.taken
        return Policy(exact_only=exact_only, logits=not warm, cells=self._backend.info.n_ctx - answer)

    @property
    def overdue(self) -> bool:
        """Whether the deadline has passed."""
        limit = self.request.deadline_ms if isinstance(self.request, Generate) else 0
        return limit > 0 and (time.monotonic() - self.spent.received) * 1000 >= limit

    def step(self, trunk: Trunk, abort: Callable[[], bool]) -> str:
        """Does one slice of work; returns the reason when the run is finished, else ""."""
        if self.abandoned:
            return self.abandoned
        if self.overdue:
            return "deadline"
        if self.dry:
            return self._predict(trunk)
        if self._planned_on is not trunk or trunk.ledger.revision != self._planned_revision:
            self._replan(trunk)
        if self.moves.pending:
            self._move(trunk, abort)
            return ""
        started, one = time.perf_counter(), self._one_is_pending
        guesses = self._guesses(trunk) if one else NOTHING
        if guesses.tokens:
            return self._verify(trunk, guesses, abort)
        done = self._sample() if self._evaluated(trunk, abort) else ""
        if one and self._speculation is not None:
            self._speculation.took_one(time.perf_counter() - started)
        self._planned_revision = trunk.ledger.revision
        return done

    @property
    def priority(self) -> int:
        """Lower goes first. Cells that are being moved hold up everything but completions: in between nothing fits.

        Who only looks waits for no reading.
        """
        if self.dry:
            return Priority.ACTION
        return min(self.request.priority, Priority.ACTION) if self.moves.pending else self.request.priority

    @property
    def dry(self) -> bool:
        """Whether it only asks what it would take."""
        return isinstance(self.request, Warm) and self.request.dry

    @property
    def listeners(self) -> list[Listener]:
        """Those who wait for the answer."""
        return self._audience.listeners

    def finish(self, reason: str) -> None:
        """Answers everyone exactly once and frees the sampler."""
        chance = self._sampler.first_chance if self._sampler else 1.0
        self._free_sampler()
        self._audience.finish(reason, self._cost(), chance)

    @property
    def started(self) -> bool:
        """Whether it has been planned once."""
        return self._plan is not None

    def become(self, other: Run) -> None:
        """Goes on with the stand-in's shorter prompt."""
        self.wanted = self._now = other.wanted
        self._heal, self._n_prompt, self._recall = other._heal, other._n_prompt, other._recall
        self._body_tokens, self._head_tokens = other._body_tokens, other._head_tokens
        self.early, self.stand_in = True, None

    def detach(self, listener: Listener) -> None:
        """One of several no longer wants the answer."""
        self._audience.detach(listener, self._cost())

    def fail(self) -> list[Listener]:
        """Frees the sampler and returns those who must be told."""
        self._free_sampler()
        return self._audience.leave()

    def hurry(self, other: Run) -> None:
        """Somebody wants the same; if more urgently, then within a time of their own."""
        mine, theirs = self.request, other.request
        if isinstance(mine, Generate) and isinstance(theirs, Generate) and theirs.priority < mine.priority:
            passed = int((time.monotonic() - self.spent.received) * 1000)
            deadline = passed + theirs.deadline_ms if theirs.deadline_ms else 0
            self.request = replace(mine, priority=theirs.priority, deadline_ms=deadline)

    def attach(self, listener: Listener) -> None:
        """Lets one more share the answer; it gets at once what there is."""
        self._audience.attach(listener)

    def _free_sampler(self) -> None:
        if self._sampler:
            self._sampler.close()
            self._sampler = None

    # -- evaluation ------------------------------------------------------------------------------------------------

    def _replan(self, trunk: Trunk) -> None:
        """Finds the way from what the trunk holds now; tokens already sampled are part of what is wanted."""
        wanted = self.wanted
        if self._answer:
            wanted = [*wanted, Wanted("", "answer", self._answer)]
        first = self._plan is None
        self._plan = self._moved(trunk) or plan(trunk.ledger, wanted, trunk.can, self.policy)
        trunk.apply(self._plan.ops)
        self._planned_on, self._planned_revision = trunk, trunk.ledger.revision
        self._at = (self._plan.run, self._plan.offset)
        self._now = wanted
        if first:
            self.spent.started, self.spent.hidden = time.monotonic(), self._plan.hidden
        if not self.spent.prompted:  # what it has evaluated before it was planned anew is not reused
            self.spent.reused = max(0, self._plan.reused - sum(self.spent.by_region.values()))

    def _predict(self, trunk: Trunk) -> str:
        exact = plan(trunk.ledger, self.wanted, trunk.can, self.policy)
        found = self.moves.found(trunk, self.wanted, exact)
        n = found.evaluate + self._n_prompt - found.kept - found.inserted if found else exact.evaluate
        self.spent.by_region["body"] = n
        self.spent.reused = self._n_prompt - n
        self.spent.exact = found is None
        return "planned"

    def _moved(self, trunk: Trunk) -> Plan | None:
        """What stands until cells are moved, or the exact way; None: what else there is."""
        if not self.moves.allowed:
            return None
        self.moves.take(None)
        exact = plan(trunk.ledger, self.wanted, trunk.can, self.policy)
        found = self.moves.found(trunk, self.wanted, exact)
        self.moves.take(found)
        if found is None:
            return exact
        return replace(exact, ops=(), reused=found.kept - found.warmed) if found.ops else None

    def _move(self, trunk: Trunk, abort: Callable[[], bool]) -> None:
        region, n = self.moves.step(trunk, abort)
        if n:
            self.spent.by_region[region] = self.spent.by_region.get(region, 0) + n
        # The last one leaves an append, which is planned as ever.
        self._planned_on, self._planned_revision = (trunk if self.moves.pending else None), trunk.ledger.revision

    def _evaluated(self, trunk: Trunk, abort: Callable[[], bool]) -> bool:
        """Evaluates one batch if something is left; True when logits for the next token are there."""
        run, offset = self._at
        while run < len(self._now) and offset >= len(self._now[run].tokens):
            run, offset = run + 1, 0
        if run == len(self._now):
            self._reached_end(trunk)
            return True
        self._batch(trunk, run, offset, abort)
        return self._at[0] == len(self._now)

    def _batch(self, trunk: Trunk, run: int, offset: int, abort: Callable[[], bool]) -> None:
        parts = batch_of(self._now, run, offset, self._backend.n_slice)
        flat = array("i", [t for _, _, ts in parts for t in ts])
        last_run, last_offset, last_tokens = parts[-1]
        end = last_offset + len(last_tokens) == len(self._now[last_run].tokens) and last_run == len(self._now) - 1
        ends = (self._end(trunk, self._body_tokens), self._end(trunk, self._head_tokens))
        before = len(trunk.ledger)
        labels = [(self._now[r], o, ts) for r, o, ts in parts]
        trunk.evaluate_parts(labels, flat, ends=ends, logits=end, abort=abort)
        self._at = (last_run, last_offset + len(last_tokens))
        if end:
            self._at = (len(self._now), 0)
            self._reached_end(trunk)
        self._account(labels, len(trunk.ledger) - before)

    def _end(self, trunk: Trunk, n_wanted: int) -> int:
        """Position at which so many of the wanted tokens end (or will end), hidden tokens before them counted."""
        end = n_wanted
        for start, stop in trunk.ledger.hidden:
            if start < end:
                end += stop - start
        return end

    def _reached_end(self, trunk: Trunk) -> None:
        if not self.spent.prompted:
            self.spent.prompted = time.monotonic()
            self.spent.exact = trunk.ledger.exact_upto() == len(trunk.ledger)

    def _account(self, labels: Sequence[tuple[Wanted, int, Sequence[int]]], n: int) -> None:
        for part, _, tokens in labels:
            if part.region != "answer":
                self.spent.by_region[part.region] = self.spent.by_region.get(part.region, 0) + len(tokens)
        rate = self.spent.evaluated(n)
        if isinstance(self.request, Warm):
            done = sum(len(w.tokens) for w in self.wanted[: self._at[0]]) + self._at[1]
            self._audience.tell(lambda id_: Progress(id=id_, done=done, total=self._n_prompt, tokens_per_s=rate))

    # -- sampling --------------------------------------------------------------------------------------------------

    def _sample(self) -> str:
        if not isinstance(self.request, Generate):
            return "done"
        if self.request.max_tokens <= 0:
            return "length"
        if self._sampler is None:
            history = [t for w in self.wanted[-4:] for t in w.tokens]
            self._sampler = self._backend.sampler(self.request.sampling, history)
        allowed = self._backend.tokens_compatible(self._heal) if self._heal else None
        token = self._sampler.sample(allowed, self._recall.expected(self._answer) if self._recall else None)
        if not self.spent.first:
            self.spent.first = time.monotonic()
        return self._take(token)

    def _take(self, token: int) -> str:
        """The next token of the answer; returns the reason if it is the last."""
        if self._backend.is_end(token):
            return "eos"
        self._answer.append(token)
        self._now = [*self.wanted, Wanted("", "answer", self._answer)]
        self._at = (len(self.wanted), len(self._answer) - 1)
        return self._write(self._backend.piece(token))

    # -- guessing --------------------------------------------------------------------------------------------------

    @property
    def _one_is_pending(self) -> bool:
        """Whether exactly the last sampled token is left to evaluate."""
        return bool(self._answer) and self._at == (len(self.wanted), len(self._answer) - 1)

    def _guesses(self, trunk: Trunk) -> Found:
        """What probably comes next, as far as it pays to try."""
        if self._speculation is None or self._heal or not isinstance(self.request, Generate):
            return NOTHING
        n_guesses = self._backend.n_choices - 1
        found = trunk.lookup.find(self._answer[-1], n_guesses, trunk.ledger.hidden)
        if self._recall is not None:
            found = max(found, self._recall.find(self._answer, n_guesses), key=lambda each: each.agreed)
        room = self.request.max_tokens - len(self._answer) - 1
        ends = [s.encode() for s in self.request.stop]
        for n, token in enumerate(found.tokens):
            if any(end in self._backend.piece(token) for end in ends):
                room = min(room, n)  # what follows the end of the answer is not needed, nor is the end
        return Found(self._speculation.worth(found, room, self._streak), found.agreed)

    def _verify(self, trunk: Trunk, guesses: Found, abort: Callable[[], bool]) -> str:
        """Evaluates the pending token and the guesses at once; what turns out to be true is the answer's."""
        started, base = time.perf_counter(), len(trunk.ledger)
        ends = (self._end(trunk, self._body_tokens), self._end(trunk, self._head_tokens))
        tokens = array("i", [self._answer[-1], *guesses.tokens])
        answers = ((*self._answer, *guesses.tokens[:n]) for n in range(len(tokens)))
        expected = [self._recall.expected(answer) for answer in answers] if self._recall else ()
        chosen = trunk.verify((self._now[-1], len(self._answer) - 1, tokens), ends=ends, abort=abort, expected=expected)
        kept = next((n for n, token in enumerate(guesses.tokens) if chosen[n] != token), len(guesses.tokens))
        trunk.take_back(base + 1 + kept)
        self.spent.guessed, self.spent.true = self.spent.guessed + len(guesses.tokens), self.spent.true + kept
        if self._speculation is not None:
            took = time.perf_counter() - started
            self._speculation.tried(guesses.agreed, len(guesses.tokens), kept, took, self._streak)
        self._streak = self._streak + kept if kept == len(guesses.tokens) else 0
        self._planned_revision = trunk.ledger.revision if len(trunk.ledger) == base + 1 + kept else -1
        return next((done for token in chosen[: kept + 1] if (done := self._take(token))), "")

    # -- the answer's text -----------------------------------------------------------------------------------------

    def _write(self, piece: bytes) -> str:
        if self._heal:
            shared = min(len(self._heal), len(piece))
            self._heal, piece = self._heal[shared:], piece[shared:]
        if self._audience.write(piece):
            return "stop"
        assert isinstance(self.request, Generate)
        return "length" if len(self._answer) >= self.request.max_tokens else ""

    def _cost(self) -> Cost:
        return self.spent.cost(prompt=self._n_prompt, generated=len(self._answer), early=self.early)


def _is_plain(sampling: Sampling) -> bool:
    """Whether the next token is simply the most probable one."""
    return sampling.temperature <= 0 and not sampling.grammar and sampling.repeat_penalty == 1.0


def check_fits(run: Run, n_ctx: int) -> None:
    """Raises `PromptTooLong` if the run can never fit."""
    if run.n_needed > n_ctx:
        raise PromptTooLong(
            f"the request needs {run.n_needed} tokens and the context holds {n_ctx}; "
            "select less text, lower index.budget_tokens or raise model.n_ctx"
        )
