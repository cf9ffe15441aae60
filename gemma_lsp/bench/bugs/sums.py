"""Shares, paired differences and their intervals. Pure; the resampling is seeded, so a report can be made again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from random import Random
from typing import Any

_DRAWS = 4000
_SEED = 20261121
_Z = 1.959964  # 95 %


@dataclass(frozen=True, slots=True)
class Share:
    """`n` of `of`, with Wilson's 95 % interval."""

    n: int
    of: int

    @property
    def value(self) -> float:
        """The share; 0 of nothing."""
        return self.n / self.of if self.of else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Low and high."""
        if not self.of:
            return (0.0, 1.0)
        z, n, p = _Z, self.of, self.value
        middle, spread = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return ((middle - spread) / (1 + z * z / n), (middle + spread) / (1 + z * z / n))

    def told(self) -> str:
        """In words: "12 of 20, 60.0 % [38.7, 78.1]"."""
        low, high = self.interval
        return f"{self.n} of {self.of}, {self.value:.1%} [{low:.1%}, {high:.1%}]"

    def to_json(self) -> dict[str, Any]:
        """With its interval."""
        return {"n": self.n, "of": self.of, "share": round(self.value, 4), "interval": _rounded(self.interval)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """Two yes-or-no results of the same tasks. Intervals are 95 % percentiles over resampled tasks.

    `p` is that of McNemar's exact test, two-sided; `ratio` is None where the second never succeeds.
    """

    both: int
    first_only: int
    second_only: int
    neither: int
    difference: float
    difference_interval: tuple[float, float]
    ratio: float | None
    ratio_interval: tuple[float, float] | None
    p: float

    def to_json(self) -> dict[str, Any]:
        """As it is, rounded."""
        found = asdict(self)
        found["difference_interval"] = _rounded(self.difference_interval)
        found["ratio_interval"] = _rounded(self.ratio_interval) if self.ratio_interval else None
        return {name: round(v, 4) if isinstance(v, float) else v for name, v in found.items()}


def share(results: Sequence[bool]) -> Share:
    """How many are true."""
    return Share(sum(results), len(results))


def paired(first: Sequence[bool], second: Sequence[bool]) -> Paired | None:
    """The comparison; None for no tasks. The sequences are in the same order of tasks."""
    pairs = list(zip(first, second, strict=True))
    if not pairs:
        return None
    only, other = sum(a and not b for a, b in pairs), sum(b and not a for a, b in pairs)
    random = Random(_SEED)
    draws = [random.choices(pairs, k=len(pairs)) for _ in range(_DRAWS)]
    sums = [(sum(a for a, _ in draw), sum(b for _, b in draw)) for draw in draws]
    n_first, n_second = sum(first), sum(second)
    ratios = sorted(a / b if b else math.inf for a, b in sums)
    return Paired(
        both=sum(a and b for a, b in pairs),
        first_only=only,
        second_only=other,
        neither=sum(not a and not b for a, b in pairs),
        difference=(n_first - n_second) / len(pairs),
        difference_interval=_middle(sorted((a - b) / len(pairs) for a, b in sums)),
        ratio=n_first / n_second if n_second else None,
        ratio_interval=_middle(ratios) if n_second else None,
        p=_mcnemar(only, other),
    )


def _middle(ordered: Sequence[float]) -> tuple[float, float]:
    last = len(ordered) - 1
    return (ordered[round(0.025 * last)], ordered[round(0.975 * last)])


def _mcnemar(first_only: int, second_only: int) -> float:
    n, least = first_only + second_only, min(first_only, second_only)
    return min(1.0, 2.0 * sum(math.comb(n, k) for k in range(least + 1)) / 2.0**n)


def _rounded(values: tuple[float, float]) -> list[float | None]:
    """For JSON, which has no infinity: a ratio to nothing is null."""
    return [round(value, 4) if math.isfinite(value) else None for value in values]
