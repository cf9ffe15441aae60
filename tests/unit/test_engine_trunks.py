"""Trunks that share one cache: what one of them computes may cost the others' sliding cells."""

from __future__ import annotations

from gemma_lsp.backends.fake import FakeBackend
from gemma_lsp.engine.audience import Listener
from gemma_lsp.engine.messages import Event, Generate
from gemma_lsp.engine.run import Run
from gemma_lsp.engine.trunks import Trunks
from tests.unit.test_kv_plan import never, wanted


def answered(trunks: Trunks, backend: FakeBackend, workspace: str, text: str) -> Run:
    events: list[Event] = []
    request = Generate(id="", workspace=workspace, prompt=(), max_tokens=0)
    run = Run(request, Listener("", events.append), wanted(text), backend)
    while not run.step(trunks.for_run(run), never):
        pass
    run.finish("length")
    return run


def test_what_another_trunk_took_is_not_gone_on_from() -> None:
    """A rewind into the last batch finds its window recycled by another workspace's batches, and the ledger knows."""
    backend = FakeBackend(n_swa=6, n_slice=32, n_trunks=2)
    trunks = Trunks(backend, None)
    answered(trunks, backend, "one", "b:" + "a" * 60 + " r:" + "x" * 30)
    answered(trunks, backend, "two", "b:" + "b" * 60 + " r:" + "y" * 30)
    again = "b:" + "a" * 60 + " r:" + "x" * 10 + "z"
    run = answered(trunks, backend, "one", again)
    assert run.spent.exact
    cold = FakeBackend(n_swa=6, n_slice=4096)
    for position, part in enumerate(token for w in wanted(again) for token in w.tokens):
        cold.evaluate(0, position, [part], False, never)
    assert cold.cells(0) == backend.cells(trunks.for_run(run).seq)
    trunks.close()
