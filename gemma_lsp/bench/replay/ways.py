"""How one arm keeps the facts: what it does after each edit, and what it asks from. One way at a time in one trunk.

All ways start from one evaluation of the first prompt, kept aside, and see the same edits and the same questions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gemma_lsp.bench.driver import Driver, LogProbs, Spliced
from gemma_lsp.bench.editing import Arm, Editing
from gemma_lsp.prompt.segments import Prompt

FOLD_EVERY = 8
"""Edits that are told before they are folded into the body together; guessed, a pause in the work."""
TRUNK = "facts"


@dataclass(frozen=True, slots=True)
class Way:
    """An arm with its choices. `fold_every`: edits between two folds, 0: never.

    Tokens read again at a splice: `rewarm` before it, for its window, and `behind` it.
    """

    label: str
    arm: Arm
    fold_every: int = 0
    rewarm: int = 0
    behind: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What a way has evaluated since the start, the questions' tails left out. `read`: tokens at the end of the trunk.

    `inserted` and `warmed` by `splices`, which took `ms` in all.
    """

    read: int
    splices: int
    inserted: int
    warmed: int
    ms: float

    @property
    def evaluated(self) -> int:
        """All of it, in tokens."""
        return self.read + self.inserted + self.warmed


def ways_for(arms: Sequence[Arm], rewarms: Sequence[int], behinds: Sequence[int]) -> tuple[Way, ...]:
    """The ways to measure, those first that the others are compared with."""
    found = [Way(Arm.RECOMPUTE, Arm.RECOMPUTE), Way(Arm.STALE, Arm.STALE)]
    if Arm.ERRATA in arms:
        found.append(Way(Arm.ERRATA, Arm.ERRATA))
    if Arm.SPLICE in arms:
        found += [
            Way(_label(rewarm, behind, rewarms, behinds), Arm.SPLICE, 1, rewarm, behind)
            for rewarm in rewarms
            for behind in behinds
        ]
    if Arm.BOTH in arms:
        found.append(Way(Arm.BOTH, Arm.BOTH, FOLD_EVERY, _middle(rewarms), _middle(behinds)))
    return tuple(found)


def _label(rewarm: int, behind: int, rewarms: Sequence[int], behinds: Sequence[int]) -> str:
    """What tells one splicing way from the others."""
    before = f" {rewarm}" if len(rewarms) > 1 else ""
    return f"{Arm.SPLICE}{before}" + (f" +{behind}" if len(behinds) > 1 else "")


def _middle(values: Sequence[int]) -> int:
    return sorted(values)[len(values) // 2]


class Keeper:
    """One way at work over its own copy of the editing."""

    def __init__(self, driver: Driver, editing: Editing, way: Way) -> None:
        self._driver, self._editing, self._way = driver, editing, way
        self._edits = self._read = 0
        self._spliced = Spliced()

    def edited(self) -> None:
        """After an edit."""
        self._edits += 1
        if self._way.fold_every and self._edits % self._way.fold_every == 0:
            self._editing.fold()
            self._spliced += self._driver.splice(
                TRUNK, self._editing.resident.whole, self._way.rewarm, self._way.behind
            )

    def head(self, tail: Prompt) -> Prompt:
        """What is asked from now; it is made resident, with the first question behind it."""
        head = self._editing.head(self._way.arm)
        read = self._driver.bring(TRUNK, (*head, *tail), exact=self._way.arm.exact)
        self._read += max(0, read - self._editing.count.total(tail))
        return head

    def ask(self, head: Prompt, tail: Prompt, truth: Sequence[int]) -> LogProbs:
        """Log-probabilities at each place of the truth."""
        return self._driver.score(TRUNK, (*head, *tail), truth, exact=self._way.arm.exact)

    def spent(self) -> Spent:
        """So far."""
        s = self._spliced
        return Spent(read=self._read, splices=s.splices, inserted=s.inserted, warmed=s.warmed, ms=s.seconds * 1000)
