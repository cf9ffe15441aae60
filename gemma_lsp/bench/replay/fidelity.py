"""How true each arm's next-token probabilities are, against the exact recomputation in the same run. Blocks.

All arms are asked the same tail and read along the same truth, so rows of log-probabilities can be compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gemma_lsp.bench.driver import Driver, LogProbs
from gemma_lsp.bench.editing import COMPARED, Arm, Question
from gemma_lsp.bench.replay.moments import Script
from gemma_lsp.prompt.segments import Prompt

TRUTH_TOKENS = 24
DEPENDS = 0.1  # nats of KL(exact || stale) from which on a position depends on the edits


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmScore:
    """One arm at one question. `nll`: of the whole truth; `recalled`: each of its tokens came first."""

    nll: float
    recalled: bool
    kl: tuple[float, ...]  # KL(exact || arm) at each position


@dataclass(frozen=True, slots=True, kw_only=True)
class FidelityRow:
    """One question. `floor`: KL(exact || the same tokens decoded one by one) at each position."""

    label: str
    n_tokens: int
    arms: Mapping[str, ArmScore]
    floor: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmFidelity:
    """Means over positions. `closed` is 1 - KL(arm) / KL(stale) where KL(stale) > `DEPENDS`; None: no such position."""

    arm: str
    closed: float | None
    kl_depending: float | None
    kl_other: float | None
    nll: float
    recalled: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fidelity:
    """A group of questions, summed up."""

    questions: int
    positions: int
    depending: int
    floor: float
    arms: tuple[ArmFidelity, ...]


def replay_fidelity(driver: Driver, script: Script, say: Callable[[str], None]) -> list[FidelityRow]:
    """Asks every moment's question in every arm, each arm in the trunk that it has kept since the start."""
    if not script.moments:
        return []
    start_all(driver, script.starts[Arm.ERRATA])
    rows = []
    for number, moment in enumerate(script.moments, 1):
        say(f"fidelity: {number} of {len(script.moments)}")
        row = ask(driver, moment.question)
        if row is not None:
            rows.append(row)
        if moment.idle:
            driver.bring(Arm.ERRATA, moment.idle, exact=True)
    return rows


def start_all(driver: Driver, head: Prompt) -> None:
    """Every arm starts from the same evaluation of the same prompt."""
    driver.bring(Arm.ERRATA, head, exact=True)
    for arm in (Arm.STALE, Arm.RECOMPUTE):
        driver.fork(Arm.ERRATA, arm)


def ask(driver: Driver, question: Question) -> FidelityRow | None:
    """One question in every arm; None where there is no truth to read."""
    truth = driver.tokens(question.truth)[:TRUTH_TOKENS]
    if not truth:
        return None
    rows: dict[Arm, LogProbs] = {}
    for arm in COMPARED:
        head = question.heads[arm]
        prompt = (*head, *question.tail)
        rows[arm] = driver.score(arm, prompt, truth, exact=arm.exact)
    exact = rows[Arm.RECOMPUTE]
    prompt = (*question.heads[Arm.RECOMPUTE], *question.tail)
    floor = kl(exact, driver.score_singly(Arm.RECOMPUTE, prompt, truth, exact=True))
    return FidelityRow(
        label=question.label,
        n_tokens=len(truth),
        arms={arm: scored(exact, rows[arm], truth) for arm in rows},
        floor=floor,
    )


def kl(p: LogProbs, q: LogProbs) -> tuple[float, ...]:
    """KL(p || q) in nats, row by row; never below 0."""
    wide_p, wide_q = p.astype(np.float64), q.astype(np.float64)
    return tuple(float(max(0.0, x)) for x in (np.exp(wide_p) * (wide_p - wide_q)).sum(axis=-1))


def summed_up(rows: Sequence[FidelityRow]) -> Fidelity | None:
    """Means over all positions of all questions; None without questions."""
    if not rows:
        return None
    stale = [x for row in rows for x in row.arms[Arm.STALE].kl]
    return Fidelity(
        questions=len(rows),
        positions=len(stale),
        depending=sum(x > DEPENDS for x in stale),
        floor=_mean([x for row in rows for x in row.floor]) or 0.0,
        arms=tuple(_arm(rows, arm, stale) for arm in rows[0].arms),
    )


def scored(exact: LogProbs, found: LogProbs, truth: Sequence[int]) -> ArmScore:
    """What an arm's rows are worth beside the exact ones."""
    said = found[np.arange(len(truth)), list(truth)]
    recalled = bool((found.argmax(axis=-1) == np.asarray(truth)).all())
    return ArmScore(nll=-float(said.sum()), recalled=recalled, kl=kl(exact, found))


def _arm(rows: Sequence[FidelityRow], arm: str, stale: Sequence[float]) -> ArmFidelity:
    own = [x for row in rows for x in row.arms[arm].kl]
    depending = [(x, s) for x, s in zip(own, stale, strict=True) if s > DEPENDS]
    return ArmFidelity(
        arm=arm,
        closed=1 - sum(x for x, _ in depending) / sum(s for _, s in depending) if depending else None,
        kl_depending=_mean([x for x, _ in depending]),
        kl_other=_mean([x for x, s in zip(own, stale, strict=True) if s <= DEPENDS]),
        nll=_mean([row.arms[arm].nll for row in rows]) or 0.0,
        recalled=sum(row.arms[arm].recalled for row in rows),
    )


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
