"""One answer of the completion bench, and what many of them come to, with intervals. Pure; any thread."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np

RESAMPLES = 2000
Z = 1.96  # of a normal distribution: 95 % lie within


class Arm(StrEnum):
    """Whose completion it is. `raw` is one answer of the model to its plain prompt, cut in three ways."""

    OURS = "ours"
    RAW = "raw, to its end"
    RAW_LINE = "raw, first line"
    RAW_SUFFIX = "raw, up to the suffix"
    SERVER = "llama-server's /infill"
    SERVER_LINE = "llama-server's /infill, first line"
    SERVER_SUFFIX = "llama-server's /infill, up to the suffix"
    REPO = "with the repository"
    WIDE = "with the repository and more around the cursor"
    BARE = "with the repository, nothing similar beside the cursor"
    FILE = "with the file alone"
    MODEL = "with the repository, nothing remembered beside it"  # the likelihoods of REPO's answers alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One completion. `nll`: nats for each character of the truth's first line; None where not measured.

    `nll_model`: the same by the model alone, without what the engine remembers of the repository.
    """

    task: str
    arm: str
    text: str
    reason: str
    passed: bool | None = None
    exact: bool = False
    similarity: float = 0.0
    nll: float | None = None
    nll_model: float | None = None
    repeats: bool = False
    breaks: bool = False
    leaks: bool = False
    prompt: int = 0
    evaluated: int = 0
    generated: int = 0
    first_ms: float | None = None
    total_ms: float | None = None

    @property
    def shown(self) -> bool:
        """Whether the user sees something."""
        return bool(self.text)

    def to_json(self) -> dict[str, Any]:
        """A plain object, what is unknown left out."""
        return {key: value for key, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A value and its 95 % interval."""

    value: float
    low: float
    high: float

    def to_json(self) -> list[float]:
        """Value, low, high."""
        return [round(x, 4) for x in (self.value, self.low, self.high)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """An arm over all of its tasks; times are (median, 95th percentile) in ms."""

    arm: str
    n: int
    passed: Estimate | None
    exact: Estimate
    similarity: Estimate
    nll: Estimate | None
    shown: float
    repeats: int
    breaks: int
    leaks: int
    generated: float
    first_ms: tuple[float, float] | None
    total_ms: tuple[float, float] | None

    def to_json(self) -> dict[str, Any]:
        """A plain object; estimates as [value, low, high]."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        return {k: v.to_json() if isinstance(v, Estimate) else v for k, v in plain.items() if v is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two arms on the same tasks: the mean difference, the ratio, and how often each alone was right."""

    what: str
    first: str
    second: str
    n: int
    difference: Estimate
    ratio: Estimate | None
    only_first: int
    only_second: int

    def to_json(self) -> dict[str, Any]:
        """A plain object; estimates as [value, low, high]."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        return {k: v.to_json() if isinstance(v, Estimate) else v for k, v in plain.items() if v is not None}


def summed_up(rows: Sequence[Row]) -> list[Sum]:
    """Each arm's sums, in the order in which the arms come."""
    return [_sum([row for row in rows if row.arm == arm]) for arm in dict.fromkeys(row.arm for row in rows)]


def share(values: Sequence[bool]) -> Estimate:
    """A proportion with Wilson's interval. Source: E. B. Wilson, JASA 22 (1927), 209-212."""
    n, p = len(values), sum(values) / len(values)
    middle = (p + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * math.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
    return Estimate(value=p, low=max(0.0, middle - half), high=min(1.0, middle + half))


def mean(values: Sequence[float]) -> Estimate:
    """A mean with the bootstrap's interval."""
    data = np.asarray(values, dtype=np.float64)
    return _interval(float(data.mean()), data[_draws(len(data))].mean(axis=1))


def compare(rows: Sequence[Row], first: str, second: str, what: str) -> Comparison | None:
    """`first` against `second` in one measure, task by task; None where no task has both."""
    read: Callable[[Row], float | None] = lambda row: getattr(row, what)  # noqa: E731
    mine = {row.task: value for row in rows if row.arm == first and (value := read(row)) is not None}
    yours = {row.task: value for row in rows if row.arm == second and (value := read(row)) is not None}
    both = [task for task in mine if task in yours]
    if not both:
        return None
    a = np.asarray([mine[task] for task in both], dtype=np.float64)
    b = np.asarray([yours[task] for task in both], dtype=np.float64)
    drawn = _draws(len(both))
    above, below = a[drawn].mean(axis=1), b[drawn].mean(axis=1)
    ratio = None
    if b.mean() > 0:
        known = below > 0  # a sample in which the second arm got nothing has no ratio
        ratio = _interval(float(a.mean() / b.mean()), above[known] / below[known])
    return Comparison(
        what=what,
        first=first,
        second=second,
        n=len(both),
        difference=_interval(float((a - b).mean()), above - below),
        ratio=ratio,
        only_first=int((a > b).sum()),
        only_second=int((a < b).sum()),
    )


def compare_recall(rows: Sequence[Row]) -> Comparison | None:
    """With the repository in the prompt, what is remembered of it beside that against the model alone."""
    mine = [row for row in rows if row.arm == Arm.REPO]
    alone = [replace(row, arm=Arm.MODEL, nll=row.nll_model) for row in mine if row.nll_model is not None]
    return compare([*mine, *alone], Arm.REPO, Arm.MODEL, "nll")


def row_from(data: Mapping[str, Any]) -> Row:
    """The row that `Row.to_json` wrote. Raises `TypeError` on another shape."""
    return Row(**data)


def _sum(rows: Sequence[Row]) -> Sum:
    nll = [row.nll for row in rows if row.nll is not None]
    tested = [row.passed for row in rows if row.passed is not None]
    return Sum(
        arm=rows[0].arm,
        n=len(rows),
        passed=share(tested) if tested else None,
        exact=share([row.exact for row in rows]),
        similarity=mean([row.similarity for row in rows]),
        nll=mean(nll) if nll else None,
        shown=sum(row.shown for row in rows) / len(rows),
        repeats=sum(row.repeats for row in rows),
        breaks=sum(row.breaks for row in rows),
        leaks=sum(row.leaks for row in rows),
        generated=sum(row.generated for row in rows) / len(rows),
        first_ms=_spread([row.first_ms for row in rows if row.first_ms is not None]),
        total_ms=_spread([row.total_ms for row in rows if row.total_ms is not None]),
    )


def _spread(values: Sequence[float]) -> tuple[float, float] | None:
    if not values:
        return None
    return round(float(np.percentile(values, 50)), 1), round(float(np.percentile(values, 95)), 1)


def _draws(n: int) -> Any:
    """Indices of the bootstrap's samples, shape (RESAMPLES, n); the same ones each time."""
    return np.random.default_rng(0).integers(0, n, size=(RESAMPLES, n))


def _interval(value: float, samples: Any) -> Estimate:
    low, high = np.percentile(samples, [2.5, 97.5])
    return Estimate(value=value, low=float(low), high=float(high))
