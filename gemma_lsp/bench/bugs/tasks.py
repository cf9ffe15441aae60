"""Buggy functions with hidden tests: the tasks of `bench explain` and `bench review`. Reads a file; pure otherwise.

A file of tasks has one JSON object a line, plain or gzipped, with the fields of HumanEvalPack (task_id, prompt,
canonical_solution, buggy_solution, test, entry_point). No test ever reaches a prompt.
"""

from __future__ import annotations

import difflib
import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from gemma_lsp.base.digest import digest_bytes
from gemma_lsp.base.errors import GemmaLspError
from gemma_lsp.engine.messages import ModelInfo
from gemma_lsp.syntax.parse import parse
from gemma_lsp.syntax.types import Symbol
from gemma_lsp.text import Text

_FIELDS = ("task_id", "prompt", "canonical_solution", "buggy_solution", "test", "entry_point")


class TasksError(GemmaLspError):
    """There are no tasks to measure with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BugTask:
    """One function, wrong and right, as files; `name` is the function's. Lines count from 0, those of `buggy`."""

    id: str
    name: str
    buggy: str
    correct: str
    test: str

    @property
    def path(self) -> str:
        """The file's name in its workspace, which says nothing about the bug."""
        return f"{self.name}.py"

    @property
    def changed(self) -> frozenset[int]:
        """The lines that the correction changes or deletes; for one that only inserts, the lines beside it."""
        return changed_lines(self.buggy.split("\n"), self.correct.split("\n"))

    def symbol(self, *, correct: bool = False) -> Symbol:
        """The function in the wrong file, or in the right one. Raises `TasksError`."""
        parsed = parse(self.path, Text.normalised(self.correct if correct else self.buggy))
        found = [symbol for symbol in parsed.symbols if symbol.qualified == self.name]
        if not found:
            raise TasksError(f"{self.id} does not define {self.name}; choose another --tasks file")
        return found[-1]


def load_tasks(path: Path) -> tuple[BugTask, ...]:
    """All tasks of a file. Raises `TasksError`."""
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("utf-8")
        rows = [json.loads(line) for line in text.splitlines() if line.strip()]
        tasks = tuple(_task(row) for row in rows)
    except (OSError, ValueError, KeyError, TypeError) as error:
        wanted = ", ".join(_FIELDS)
        raise TasksError(f"{path} holds no tasks ({error}); give a JSON-lines file with the fields {wanted}") from error
    if not tasks:
        raise TasksError(f"{path} is empty; give a JSON-lines file of tasks")
    return tasks


def sample(tasks: Sequence[BugTask], n: int, seed: int) -> tuple[BugTask, ...]:
    """`n` of the tasks, drawn once by the seed; 0 means all. A larger sample begins with the smaller one."""
    order = list(tasks)
    Random(seed).shuffle(order)
    return tuple(order[:n] if n else order)


def changed_lines(old: Sequence[str], new: Sequence[str]) -> frozenset[int]:
    """Lines of `old` that `new` changes, white space at their ends aside; beside an insertion, its neighbours."""
    left, right = [line.rstrip() for line in old], [line.rstrip() for line in new]
    found: set[int] = set()
    beside: set[int] = set()
    for tag, i1, i2, j1, j2 in difflib.SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        if tag in ("replace", "delete"):
            found |= {n for n in range(i1, i2) if left[n].strip()}
        elif tag == "insert" and any(right[j1:j2]):
            beside |= {n for n in (i1 - 1, i1) if 0 <= n < len(left) and left[n].strip()}
    return frozenset(found or beside)


def _task(row: dict[str, str]) -> BugTask:
    return BugTask(
        id=row["task_id"],
        name=row["entry_point"],
        buggy=row["prompt"] + row["buggy_solution"].rstrip() + "\n",
        correct=row["prompt"] + row["canonical_solution"].rstrip() + "\n",
        test=row["test"],
    )


def about_run(tasks: Path | None, model: ModelInfo, **options: int) -> dict[str, Any]:
    """What a report says of the model, the options and the file of tasks."""
    return {
        "model": model.name,
        "build": model.build,
        "threads": model.threads,
        **options,
        "tasks": tasks.name if tasks else "",
        "tasks_digest": digest_bytes(tasks.read_bytes()) if tasks else "",
    }
