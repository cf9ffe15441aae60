"""The fake backend as the benches load it: it also says what it thinks of every token."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gemma_lsp.backends.fake import N_VOCAB, FakeBackend
from gemma_lsp.bench.session import LoadOptions
from gemma_lsp.kv.plan import Capabilities


class ScoringFake(FakeBackend):
    """The fake with probabilities that follow from what a cell was computed from: equal caches, equal rows."""

    def score(self, seq: int, position: int, tokens: Sequence[int]) -> NDArray[np.float32]:
        rows = []
        for i, token in enumerate(tokens):
            self.evaluate(seq, position + i, [token], True, lambda: False)
            content = self.cells(seq)[position + i][1]
            logits = np.random.default_rng(int.from_bytes(content)).normal(size=N_VOCAB)
            rows.append(logits - np.log(np.exp(logits).sum()))
        return np.asarray(rows, dtype=np.float32)


def load(options: LoadOptions) -> ScoringFake:
    can = Capabilities(shift=options.shifts)
    return ScoringFake(n_ctx=options.n_ctx, n_slice=64, n_trunks=options.n_trunks, can=can)


def silent(text: str) -> None:
    """Nobody watches."""
