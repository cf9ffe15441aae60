"""A random walk on a real model: whatever happened before, what is called exact equals a cold start.

The plan's own state machine (tests/unit/test_kv_plan.py) does this against a cache that forgets at once, thousands of
times; here llama.cpp's windowed cache decides, on the default model.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from statistics import fmean

import pytest

from gemma_lsp.backends.llama import LlamaBackend, LlamaOptions
from gemma_lsp.bench.driver import Driver
from gemma_lsp.bench.replay.fidelity import kl
from gemma_lsp.engine.backend import Aborted
from gemma_lsp.engine.messages import Generate
from gemma_lsp.engine.run import Listener, Run
from gemma_lsp.models.default_model import default_model
from gemma_lsp.prompt.segments import Prompt, Region, Segment

STEPS = 9
EXACT_KL = 0.02  # nats; batches of other sizes differ by 0.004 in the mean, a stale cache by more than 1
TRUTH = "    return total + 1\n"


@pytest.fixture(scope="module")
def driver() -> Iterator[Driver]:
    found = Driver(
        LlamaBackend(
            LlamaOptions(path=str(default_model()), n_ctx=8192, n_batch=128, n_slice=64, n_trunks=2, n_outputs=16)
        )
    )
    yield found
    found.close()


def chunk(n: int) -> Segment:
    made = (f"def area_{n}_{i}(width, height):\n    return width * {n + i} + height\n" for i in range(3))
    return Segment(Region.BODY, "\n".join(made) + "\n")


def prompt_of(chance: Random, chunks: list[Segment]) -> Prompt:
    """Some of the body's chunks in their order, some errata, some tail."""
    body = [s for s in chunks if chance.random() < 0.8]
    errata = [Segment(Region.ERRATA, f"# changed\nLIMIT_{n} = {n * 7}\n") for n in range(4) if chance.random() < 0.4]
    hole = Segment(Region.HOLE, "def total(parts):\n" + "    # adds\n" * chance.randrange(1, 12))
    end = Segment(Region.BODY, "# ----\n")
    return (*body, end, *errata, hole, Segment(Region.REQUEST, "    total = sum(parts)\n" * chance.randrange(1, 3)))


def cut_short(driver: Driver, prompt: Prompt, after: int) -> None:
    """An answer that is aborted after some checks, as a cancel does it."""
    trunk, left = driver._trunk("walk"), [after]

    def abort() -> bool:
        left[0] -= 1
        return left[0] < 0

    request = Generate(id="", workspace="walk", prompt=(), max_tokens=0)
    run = Run(request, Listener("", lambda event: None), driver._wanted(prompt), driver.backend)
    try:
        while not run.step(trunk, abort) and left[0] >= 0:
            pass
    except Aborted:
        pass
    run.fail()


def test_what_is_called_exact_is_what_a_cold_start_computes(driver: Driver) -> None:
    """And the ledger is as long as what llama.cpp holds, after every step."""
    chance, chunks = Random(1), [chunk(n) for n in range(10)]
    truth = driver.tokens(TRUTH)
    compared = masked = 0
    for step in range(STEPS):
        prompt = prompt_of(chance, chunks)
        if chance.random() < 0.3:
            cut_short(driver, prompt_of(chance, chunks), chance.randrange(1, 40))
        rows = driver.score("walk", prompt, truth, exact=chance.random() < 0.4)
        ledger = driver._trunk("walk").ledger
        assert driver.backend.last_position(driver._trunk("walk").seq) == len(ledger) - 1
        masked += bool(ledger.hidden)
        if ledger.exact_upto() == len(ledger) and compared < 3:
            driver._trunk("cold").clear()
            cold = driver.score("cold", prompt, truth, exact=True)
            assert fmean(kl(cold, rows)) < EXACT_KL, f"step {step}"
            compared += 1
    assert compared >= 2
    assert masked >= 2
