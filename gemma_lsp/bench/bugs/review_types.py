"""What `bench review` writes down: the claims about each piece of code, and precision and recall at each threshold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from gemma_lsp.bench.bugs.sums import Share, paired, share
from gemma_lsp.models.trust import Measured

WANTED_PRECISION = 0.5
WANTED_RECALL = 0.10
LINES_PER_FINDING = 500  # of the standard library, at least


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One claim. `line` counts from 0; `covers`: its range holds exactly the quoted code; `hits`: a changed line."""

    symbol: str
    line: int
    confidence: int
    confirmed: bool
    covers: bool
    hits: bool
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewed:
    """One file: a task's `kind` buggy or clean, or a module ("stdlib"). `n_functions` were read of `n_lines`."""

    name: str
    kind: str
    n_lines: int
    n_functions: int
    claims: tuple[Claim, ...]
    generated: int
    ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """What reading a twin gave for free. `gaps`: by line, how much less likely than the best alternative, in nats.

    Each is the largest of the line's tokens. `changed`: the lines that the correction changes, none of a clean twin.
    """

    name: str
    kind: str
    gaps: dict[int, float]
    changed: tuple[int, ...]

    @property
    def top(self) -> int:
        """The most surprising line."""
        return max(self.gaps, key=lambda line: self.gaps[line])


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One threshold of a curve: `published` findings on the twins, `hits` of them on a changed line."""

    threshold: float
    published: int
    hits: int
    found: int  # wrong functions with a hit
    of: int  # wrong functions
    stdlib: int = 0
    stdlib_lines: int = 0

    @property
    def precision(self) -> Share:
        """Of what was published."""
        return Share(self.hits, self.published)

    @property
    def recall(self) -> Share:
        """Of the wrong functions."""
        return Share(self.found, self.of)

    @property
    def reaches(self) -> bool:
        """Whether this threshold may be the default."""
        quiet = self.stdlib * LINES_PER_FINDING <= self.stdlib_lines
        return self.precision.value >= WANTED_PRECISION and self.recall.value >= WANTED_RECALL and quiet

    def to_json(self) -> dict[str, Any]:
        """With both shares."""
        shares = {"precision": self.precision.to_json(), "recall": self.recall.to_json(), "reaches": self.reaches}
        return {**asdict(self), **shares}


@dataclass(slots=True, kw_only=True)
class ReviewReport:
    """Everything, by the key "kind name"."""

    about: dict[str, Any]
    rows: dict[str, Reviewed] = field(default_factory=dict)
    doubts: dict[str, Doubt] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The documented shape."""
        return {
            "about": self.about,
            "sums": self.sums(),
            "rows": [asdict(row) for row in self.rows.values()],
            "doubts": [asdict(doubt) for doubt in self.doubts.values()],
        }

    def sums(self) -> dict[str, Any]:
        """The curves and the threshold that they give; null where none reaches what is wanted."""
        rows, confirmed = self.rows.values(), self.curve()
        reaching = [point for point in confirmed if point.reaches]
        shown = [claim for row in rows for claim in row.claims if claim.confirmed]
        return {
            "confirmed": [point.to_json() for point in confirmed],
            "unconfirmed": [point.to_json() for point in self.curve(confirmed=False)],
            "threshold": min(reaching, key=lambda p: p.threshold).threshold if reaching else None,
            "covers": share([claim.covers for claim in shown]).to_json(),
            "claims": sum(len(row.claims) for row in rows),
            "functions": sum(row.n_functions for row in rows),
            "doubt": self._doubt(),
        }

    def curve(self, *, confirmed: bool = True) -> list[Point]:
        """One point for each confidence that was said."""
        twins = [row for row in self.rows.values() if row.kind != "stdlib"]
        modules = [row for row in self.rows.values() if row.kind == "stdlib"]
        said = sorted({claim.confidence for row in self.rows.values() for claim in row.claims})
        points = []
        for least in said:
            kept = {id(row): _kept(row.claims, least, confirmed=confirmed) for row in (*twins, *modules)}
            hits = [[claim.hits for claim in kept[id(row)]] for row in twins]
            points.append(
                Point(
                    threshold=least,
                    published=sum(len(row) for row in hits),
                    hits=sum(sum(row) for row in hits),
                    found=sum(any(row) for row in hits),
                    of=sum(row.kind == "buggy" for row in twins),
                    stdlib=sum(len(kept[id(row)]) for row in modules),
                    stdlib_lines=sum(row.n_lines for row in modules),
                )
            )
        return points

    def _doubt(self) -> dict[str, Any] | None:
        """How good the most surprising line is as a finding."""
        wrong = [doubt for doubt in self.doubts.values() if doubt.kind == "buggy" and doubt.changed]
        if not wrong:
            return None
        firsts = [doubt.top in doubt.changed for doubt in wrong]
        chance = [len(set(doubt.changed) & set(doubt.gaps)) / len(doubt.gaps) for doubt in wrong]
        return {
            "top_line": share(firsts).to_json(),
            "by_chance": round(sum(chance) / len(chance), 4),
            "twins": self._told_apart(),
            "curve": [point.to_json() for point in doubt_curve(list(self.doubts.values()))],
        }

    def _told_apart(self) -> dict[str, Any] | None:
        """In how many pairs the wrong twin has the larger greatest gap."""
        pairs = [
            (doubt, self.doubts[f"clean {doubt.name}"])
            for doubt in self.doubts.values()
            if doubt.kind == "buggy" and f"clean {doubt.name}" in self.doubts
        ]
        larger = [a.gaps[a.top] > b.gaps[b.top] for a, b in pairs]
        found = paired(larger, [not wrong for wrong in larger])
        return {"wrong_is_larger": share(larger).to_json(), "p": round(found.p, 4)} if found else None


def verdict_of(report: ReviewReport) -> Measured | None:
    """What the report says of its model; None where twins or modules are missing."""
    kinds = {row.kind for row in report.rows.values()}
    if kinds != {"buggy", "clean", "stdlib"}:
        return None
    points = report.curve()
    reaching = [point for point in points if point.reaches]
    best = reaching[0] if reaching else max(points, key=lambda p: (p.precision.value, p.recall.value), default=None)
    return Measured(
        threshold=int(best.threshold) if reaching and best else None,
        precision=best.precision.value if best else 0.0,
        recall=best.recall.value if best else 0.0,
    )


def doubt_curve(doubts: Sequence[Doubt]) -> list[Point]:
    """The most surprising line of each twin as a finding, at each of ten thresholds."""
    gaps = sorted(doubt.gaps[doubt.top] for doubt in doubts)
    levels = sorted({round(gaps[n * (len(gaps) - 1) // 9], 3) for n in range(10)}) if gaps else []
    points = []
    for level in levels:
        kept = [doubt for doubt in doubts if doubt.gaps[doubt.top] >= level]
        hits = sum(doubt.top in doubt.changed for doubt in kept)
        n_wrong = sum(doubt.kind == "buggy" for doubt in doubts)
        points.append(Point(threshold=level, published=len(kept), hits=hits, found=hits, of=n_wrong))
    return points


def read_report(raw: Mapping[str, Any]) -> ReviewReport:
    """A report as it was written. Raises `TypeError` or `KeyError` for what is none."""
    report = ReviewReport(about=dict(raw["about"]))
    for row in raw["rows"]:
        found = Reviewed(**{**row, "claims": tuple(Claim(**claim) for claim in row["claims"])})
        report.rows[f"{found.kind} {found.name}"] = found
    for row in raw["doubts"]:
        gaps = {int(line): float(gap) for line, gap in row["gaps"].items()}
        doubt = Doubt(**{**row, "gaps": gaps, "changed": tuple(row["changed"])})
        report.doubts[f"{doubt.kind} {doubt.name}"] = doubt
    return report


def _kept(claims: Iterable[Claim], least: float, *, confirmed: bool) -> list[Claim]:
    return [claim for claim in claims if claim.confidence >= least and (claim.confirmed or not confirmed)]
