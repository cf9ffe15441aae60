"""Is a cached answer a cold one's? Tried on the user's own model and build, with the product's own plans. Blocks.

Source code is read, gone back to, masked in part and shown again, and spliced into what stands there; after each the
probabilities of what follows are compared with those of a cache that was filled from nothing. The noise is what one
sees when the same tokens are evaluated one by one instead of in a batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import gemma_lsp
from gemma_lsp.bench.driver import Driver, LogProbs
from gemma_lsp.bench.replay.fidelity import kl
from gemma_lsp.kv.splice import BEFORE, BEHIND
from gemma_lsp.prompt.segments import Prompt, Region, Segment

N_CTX = 8192
N_OUTPUTS = 32
CLOSED = 0.9  # of the gap between stale and cold that a mask must close
NOISES = 3.0  # times the noise that something exact may differ by
LEAST_NOISE = 0.004  # nats; what batches against single tokens differ by on small models, in the mean
SPLICED = "spliced in"
_BODY_CHARS, _PART_CHARS, _TAIL_CHARS = 9000, 900, 7000
_FACT = "QUORUM_LIMIT = 7193\n\n\n"
_ASKED = "def test_quorum_limit():\n    assert QUORUM_LIMIT == "
_VALUE = "7193\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheCheck:
    """One comparison: mean KL to a cold cache in nats, and how much of it is allowed."""

    name: str
    kl: float
    limit: float

    @property
    def ok(self) -> bool:
        """Whether it is within its limit."""
        return self.kl <= self.limit


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheReport:
    """`noise` and `stale`: KL to a cold cache of the same tokens one by one, and of a cache that was not told."""

    noise: float
    stale: float
    checks: tuple[CacheCheck, ...]

    @property
    def ok(self) -> bool:
        """Whether every check is."""
        return all(check.ok for check in self.checks)


def check_cache(driver: Driver) -> CacheReport:
    """Five evaluations of some thousand tokens. The driver needs two trunks of `N_CTX` and `N_OUTPUTS` outputs."""
    parts = _source()
    middle = len(parts) // 3
    full: Prompt = (*parts[:middle], Segment(Region.BODY, _FACT), *parts[middle:])
    without: Prompt = parts
    asked, truth = _hole(_ASKED), driver.tokens(_VALUE)

    cold = driver.score("cold", (*full, *asked), truth, exact=True)
    singly = driver.score_singly("cold", (*full, *asked), truth, exact=True)
    driver.bring("warm", full, exact=True)
    driver.bring("warm", (*full, *_hole(_long_tail())), exact=False)
    back = driver.score("warm", (*full, *asked), truth, exact=False)
    masked = driver.score("warm", (*without, *asked), truth, exact=False)
    again = driver.score("warm", (*full, *asked), truth, exact=False)
    bare = driver.score("cold", (*without, *asked), truth, exact=True)
    spliced = None
    if driver.backend.can.shift:
        driver.bring("warm", without, exact=True)
        driver.splice("warm", full, BEFORE, BEHIND)
        spliced = driver.score("warm", (*full, *asked), truth, exact=False)

    noise, stale = _mean(cold, singly), _mean(bare, cold)
    exact = NOISES * max(noise, LEAST_NOISE)
    close = max(exact, (1 - CLOSED) * stale)
    checks = [
        CacheCheck(name="going back", kl=_mean(cold, back), limit=exact),
        CacheCheck(name="masked", kl=_mean(bare, masked), limit=close),
        CacheCheck(name="shown again", kl=_mean(cold, again), limit=exact),
    ]
    if spliced is not None:
        checks.append(CacheCheck(name=SPLICED, kl=_mean(cold, spliced), limit=close))
    return CacheReport(noise=noise, stale=stale, checks=tuple(checks))


def _mean(exact: LogProbs, other: LogProbs) -> float:
    return fmean(kl(exact, other))


def _source() -> Prompt:
    """Python that everybody has who has this: our own."""
    text = _read("prompt", "kv")[:_BODY_CHARS]
    return tuple(Segment(Region.BODY, text[i : i + _PART_CHARS]) for i in range(0, len(text), _PART_CHARS))


def _long_tail() -> str:
    """More than a window of most models, so that going back has something to go back over."""
    return _read("engine")[:_TAIL_CHARS]


def _hole(text: str) -> Prompt:
    return (Segment(Region.HOLE, text),)


def _read(*packages: str) -> str:
    root = Path(gemma_lsp.__file__).parent
    return "".join(p.read_text("utf-8") for name in packages for p in sorted((root / name).glob("*.py")))
