"""Next-line tasks cut from a git history: half of a hunk is typed, upstream's next line is the truth. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gemma_lsp.bench.history import Commit, History, Hunk
from gemma_lsp.text import Text

PER_COMMIT = 3  # tasks of one commit at most, so that no large commit decides the result
LEAST_SAID = 4  # letters and digits of a line that is worth asking for
MAX_TRUTH = 200  # characters; longer lines are data


@dataclass(frozen=True, slots=True, kw_only=True)
class NextLine:
    """`text` is the file with the cursor on an empty line at `offset`; `truth` the line that upstream wrote there.

    `hunk` counts the hunks of the commit: those before it are in the files already.
    """

    id: str
    path: str
    hunk: int
    text: Text
    offset: int
    truth: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A commit with the tasks in it, in the order of its hunks."""

    commit: Commit
    tasks: tuple[NextLine, ...]


def next_lines(history: History, *, n: int, seed: int) -> list[Asked]:
    """Every commit, about `n` tasks in all (0: as many as there are), at most `PER_COMMIT` of one commit."""
    rng = random.Random(seed)
    found = [(commit, _of_commit(commit, rng)) for commit in history.commits]
    total = sum(len(tasks) for _, tasks in found)
    chosen = set(_chosen([task.id for _, tasks in found for task in tasks], n or total, rng))
    return [Asked(commit=c, tasks=tuple(task for task in tasks if task.id in chosen)) for c, tasks in found]


def _chosen(ids: Sequence[str], n: int, rng: random.Random) -> list[str]:
    return rng.sample(list(ids), min(n, len(ids)))


def _of_commit(commit: Commit, rng: random.Random) -> list[NextLine]:
    """One task in each hunk that can have one, as many as are allowed."""
    tasks = [task for number, hunk in enumerate(commit.hunks) for task in _of_hunk(commit, number, hunk, rng)]
    kept = sorted(rng.sample(range(len(tasks)), min(PER_COMMIT, len(tasks))))
    return [tasks[i] for i in kept]


def _of_hunk(commit: Commit, number: int, hunk: Hunk, rng: random.Random) -> Iterator[NextLine]:
    """The lines up to one of the hunk's are typed, it and those behind it are not."""
    if hunk.text is None or not hunk.path.endswith(".py"):
        return
    lines = hunk.inserted.splitlines(keepends=True)
    first = 1 if hunk.span.start == 0 else 0  # nothing can be known about the first line of a file
    worth = [n for n, line in enumerate(lines) if n >= first and _is_worth(line)]
    if not worth:
        return
    at = rng.choice(worth)
    content = hunk.text.content
    offset = hunk.span.start + sum(map(len, lines[:at]))
    behind = content[hunk.span.end :]
    yield NextLine(
        id=f"{commit.sha[:9]} {hunk.path} {number}",
        path=hunk.path,
        hunk=number,
        text=Text(content[:offset] + "\n" + behind),
        offset=offset,
        truth=lines[at].rstrip(),
    )


def _is_worth(line: str) -> bool:
    said = sum(c.isalnum() for c in line)
    return said >= LEAST_SAID and len(line) <= MAX_TRUTH and not line.lstrip().startswith("#")
