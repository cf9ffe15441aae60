"""How the next token is chosen from a row of logits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import llama_cpp.llama_cpp as lib
import numpy as np

from gemma_lsp.backends.llama.library import last_error
from gemma_lsp.base.errors import EngineError
from gemma_lsp.engine.messages import Sampling
from gemma_lsp.engine.recall import Expected, chance_of, most_probable


class LlamaSampler:
    """A chain of llama.cpp's own samplers, in the order of its command-line tools."""

    def __init__(
        self,
        ctx: Any,
        vocab: Any,
        n_vocab: int,
        sampling: Sampling,
        history: Sequence[int],
        logits: Callable[[], np.ndarray[Any, np.dtype[np.float32]]],
    ) -> None:
        self._ctx, self._logits = ctx, logits
        self.first_chance, self._is_first = 1.0, True
        self._rank, self._least, self._end = sampling.rank, sampling.min_p, int(lib.llama_vocab_eos(vocab))
        # The greedy chain of llama.cpp copies the whole vocabulary first: 0.5 ms of 260,000 tokens, and this 0.15.
        self._plain = sampling.temperature <= 0 and not sampling.grammar and sampling.repeat_penalty == 1.0
        self._chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        if sampling.grammar:
            grammar = lib.llama_sampler_init_grammar(vocab, sampling.grammar.encode(), b"root")
            if not grammar:
                lib.llama_sampler_free(self._chain)
                raise EngineError(f"the grammar does not parse: {last_error()}")
            lib.llama_sampler_chain_add(self._chain, grammar)
        self._penalties = None
        if sampling.repeat_penalty != 1.0:
            self._penalties = lib.llama_sampler_init_penalties(
                n_vocab, sampling.repeat_last_n, sampling.repeat_penalty, 0.0, 0.0
            )
            lib.llama_sampler_chain_add(self._chain, self._penalties)
            for token in history[-sampling.repeat_last_n :]:
                lib.llama_sampler_accept(self._penalties, token)
        for part in _choosers(sampling):
            lib.llama_sampler_chain_add(self._chain, part)

    def sample(self, allowed: Sequence[int] | None, expected: Expected | None = None) -> int:
        tokens = None if allowed is None else np.asarray(allowed, dtype=np.int32)
        if self._plain and not self._rank:
            logits = self._logits()
            token = most_probable(logits, expected, tokens)
            if self._is_first:  # 0.7 ms of 260,000 tokens
                self.first_chance, self._is_first = chance_of(token, logits, expected, tokens), False
            return token
        if tokens is not None:
            logits = self._logits()
            keep = logits[tokens].copy()
            logits[:] = -np.inf
            logits[tokens] = keep
        return self._ranked() if self._rank else int(lib.llama_sampler_sample(self._chain, self._ctx, -1))

    def _ranked(self) -> int:
        """The so many best first token, or the end where that one is too improbable."""
        n, self._rank = self._rank + 1, 0
        logits = self._logits()
        best = np.argpartition(logits, -n)[-n:]
        token = int(best[logits[best].argmin()])
        if logits[token] < logits.max() + np.log(max(self._least, 1e-9)):
            return self._end
        lib.llama_sampler_accept(self._chain, token)
        return token

    def close(self) -> None:
        if self._chain:
            lib.llama_sampler_free(self._chain)
            self._chain = None


def _choosers(sampling: Sampling) -> list[Any]:
    if sampling.temperature <= 0:
        return [lib.llama_sampler_init_greedy()]
    return [
        lib.llama_sampler_init_top_k(sampling.top_k),
        lib.llama_sampler_init_top_p(sampling.top_p, 1),
        lib.llama_sampler_init_min_p(sampling.min_p, 1),
        lib.llama_sampler_init_temp(sampling.temperature),
        lib.llama_sampler_init_dist(sampling.seed),
    ]
