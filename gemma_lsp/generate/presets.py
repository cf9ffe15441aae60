"""How each kind of answer is sampled. The values were guessed but for those that name a trial."""

from __future__ import annotations

from gemma_lsp.engine.messages import Sampling

COMPLETION = Sampling()
"""Greedy: the same place gives the same completion."""

EXPLANATION = Sampling(repeat_penalty=1.05)
"""Greedy with a nudge: an explanation should not change when it is asked for again."""

CODE = Sampling()
"""Greedy, without a penalty: code repeats its names and its lines, and a corrected one repeats nearly all of it."""

DOCUMENT = Sampling(repeat_penalty=1.1, repeat_last_n=128)
"""A small base model repeats its first sentence without a penalty, and loses the thread from 1.2 on (Gemma 3 270M)."""


def constrained(grammar: str) -> Sampling:
    """Greedy within a grammar; a penalty would punish the grammar's own punctuation."""
    return Sampling(grammar=grammar)
