"""In which order files stand in the prompt, and how near each is to the work. Pure; any thread may call it."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from posixpath import dirname

from gemma_lsp.syntax.index import Index
from gemma_lsp.syntax.references import names_and_counts

_OPEN = 0.5
"""Edits expected of an open file, in the unit of `EditOdds.volatility` (guessed)."""

_DAMPING = 0.85
_ANYWHERE = 0.2  # guessed: enough to order what the focus does not reach
_WAY_BACK = 0.2  # guessed: callers matter to a change, but less than what it calls
_ROUNDS = 40
_MANY_DEFINERS = 5
_TOO_MANY_DEFINERS = 30  # a name that says nothing about which file is meant
_TELLING = re.compile(r"[A-Za-z0-9]+(?:_[A-Za-z0-9]+)+|[A-Za-z0-9]*[a-z][A-Z]\w*")


@dataclass(frozen=True, slots=True, kw_only=True)
class EditOdds:
    """What is known about where the next edits fall; each mapping from path to a number, 0 where it is missing."""

    volatility: Mapping[str, float] = field(default_factory=dict)  # share of commits that touch the file, 0 to 1
    open_paths: frozenset[str] = frozenset()
    recency: Mapping[str, float] = field(default_factory=dict)  # 1 for a file just edited, falling to 0

    def expected_edits(self, path: str) -> float:
        """How likely the next edit falls into this file, compared with others."""
        opened = _OPEN if path in self.open_paths else 0.0
        return self.volatility.get(path, 0.0) + opened + self.recency.get(path, 0.0)


def edit_cost(index: Index, path: str, odds: EditOdds) -> float:
    """Expected edits a kilobyte. An edit invalidates what stands to its right, so the least total cost is reached
    by sorting files by this, ascending: the rule of weighted jobs, with a file's size as its length.
    """
    return odds.expected_edits(path) / (len(index.files[path].text.content) / 1000 + 1)


def stable_order(index: Index, odds: EditOdds) -> tuple[str, ...]:
    """All paths, those first that will change least. Costs within a factor of four count as equal;
    among equals definitions stand before their users, and a directory's files together.
    """
    rank = {path: at for at, path in enumerate(dependency_order(index))}
    return tuple(sorted(index.files, key=lambda path: (_band(edit_cost(index, path, odds)), rank[path])))


def dependency_order(index: Index) -> tuple[str, ...]:
    """All paths, imported before importer, prose first; a cycle is entered at its first path by directory and name."""
    order: dict[str, None] = {}
    entered: set[str] = set()
    for start in sorted(index.files, key=lambda path: (index.files[path].language != "text", dirname(path), path)):
        stack = [start]
        while stack:
            path = stack[-1]
            if path not in entered:
                entered.add(path)
                targets = [target for target in index.imports[path] if target not in entered]
                stack.extend(reversed(targets))
            else:
                stack.pop()
                order.setdefault(path)
    return tuple(order)


def relevance(index: Index, focus: Collection[str]) -> dict[str, float]:
    """How much each file matters to the work on `focus`: PageRank over who uses whose names; the sum is 1.

    An edge weighs the square root of the uses; ten times that for a telling name (long, of several words), a
    tenth for a private one and for one that more than five files define. A fifth flows back to a file's users.
    Walks start at the focus, and one in five anywhere; without a focus all do.
    """
    paths = list(index.files)
    if not paths:
        return {}
    wanted = set(focus)
    starts = [path for path in paths if path in wanted] or paths
    home = dict.fromkeys(paths, _ANYWHERE / len(paths))
    for path in starts:
        home[path] += (1 - _ANYWHERE) / len(starts)
    edges = _shares(_edges(index))
    rank = dict(home)
    for _ in range(_ROUNDS):
        rank, before = _step(edges, rank, home), rank
        if sum(abs(rank.get(path, 0.0) - before.get(path, 0.0)) for path in paths) < 1e-6:
            break
    return {path: rank.get(path, 0.0) for path in paths}


def _band(cost: float) -> int:
    return math.floor(math.log(cost, 4)) if cost > 1e-9 else -100


def _edges(index: Index) -> dict[str, dict[str, float]]:
    """Weights from each file to the files that define what it uses."""
    definers = dict(_definers(index))
    edges: dict[str, dict[str, float]] = {}
    for path, parsed in index.files.items():
        out = edges.setdefault(path, {})
        for target in index.imports[path]:
            out[target] = out.get(target, 0.0) + 1.0
        for name, count in names_and_counts(parsed.references).items():
            found = definers.get(name)
            if found is None or path in found[1]:
                continue
            for target in found[1]:
                out[target] = out.get(target, 0.0) + found[0] * math.sqrt(count)
    return edges


def _definers(index: Index) -> Iterator[tuple[str, tuple[float, tuple[str, ...]]]]:
    """Each name that tells files apart, with its weight and the files that define it."""
    for name in index.names:
        paths = tuple(dict.fromkeys(path for path, _ in index.definitions(name)))
        if len(paths) <= _TOO_MANY_DEFINERS:
            yield name, (_name_weight(name, len(paths)), paths)


def _name_weight(name: str, definers: int) -> float:
    weight = 10.0 if len(name) >= 8 and _TELLING.fullmatch(name) else 1.0
    if name.startswith("_"):
        weight *= 0.1
    return weight * 0.1 if definers > _MANY_DEFINERS else weight


def _shares(edges: dict[str, dict[str, float]]) -> dict[str, list[tuple[str, float]]]:
    """Of what a file passes on, how much goes where: to what it uses, and `_WAY_BACK` of it to its users."""
    users: dict[str, dict[str, float]] = {path: {} for path in edges}
    for path, used in edges.items():
        for target, weight in used.items():
            users[target][path] = weight
    shares: dict[str, list[tuple[str, float]]] = {}
    for path, used in edges.items():
        back = (_WAY_BACK if used else 1.0) if users[path] else 0.0
        shares[path] = [*_scaled(used, 1 - back), *_scaled(users[path], back)]
    return shares


def _scaled(weights: dict[str, float], to: float) -> Iterator[tuple[str, float]]:
    total = sum(weights.values())
    return ((path, to * weight / total) for path, weight in weights.items())


def _step(
    edges: dict[str, list[tuple[str, float]]], rank: dict[str, float], home: dict[str, float]
) -> dict[str, float]:
    """One round: what flows along the edges, and the rest back to where it started."""
    after: dict[str, float] = {}
    flown = 0.0
    for path, amount in rank.items():
        for target, share in edges[path]:
            part = _DAMPING * amount * share
            after[target] = after.get(target, 0.0) + part
            flown += part
    for path, share in home.items():
        after[path] = after.get(path, 0.0) + (1 - flown) * share
    return after
