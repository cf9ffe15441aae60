"""Infilling tasks from a JSONL file, and which of them are taken. Pure but for reading the file; any thread."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from gemma_lsp.base.errors import GemmaLspError

PATH = "solution.py"
"""What the file of a task is called in the prompt."""

T = TypeVar("T")


class TaskError(GemmaLspError):
    """There are no tasks to measure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InfillTask:
    """A program with a gap. `program(text)` ends without an error if `text` fills the gap rightly."""

    id: str
    before: str
    after: str
    truth: str
    check: str
    own_line: bool  # the gap is one whole line

    @property
    def editor_after(self) -> str:
        """What stands behind the cursor in an editor: where a whole line is missing, the cursor is on an empty one."""
        return "\n" + self.after if self.own_line else self.after

    def program(self, text: str) -> str:
        """The whole program with a text in the gap."""
        return self.before + text + self.editor_after + self.check


def read_tasks(path: Path) -> list[InfillTask]:
    """All tasks of a file in the form of human-eval-infilling, in its order. Raises `TaskError`."""
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8") as lines:
            found = [_task(json.loads(line)) for line in lines if line.strip()]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TaskError(f"{path} cannot be read as tasks ({error}); give --tasks a JSONL file of infilling") from error
    if not found:
        raise TaskError(f"{path} holds no tasks; give --tasks another file")
    return found


def sampled(items: Sequence[T], n: int, seed: int) -> list[T]:
    """`n` of them at random, in their own order; all where `n` is 0. Smaller samples are parts of larger ones."""
    order = list(range(len(items)))
    random.Random(seed).shuffle(order)
    return [items[i] for i in sorted(order[: n or None])]


def _task(row: dict[str, Any]) -> InfillTask:
    before, after, truth = str(row["prompt"]), str(row["suffix"]), str(row["canonical_solution"])
    own_line = before.endswith("\n") and truth.endswith("\n") and truth.count("\n") == 1
    return InfillTask(
        id=str(row["task_id"]),
        before=before,
        after=after,
        truth=truth.removesuffix("\n") if own_line else truth,
        check=f"\n{row['test']}\ncheck({row['entry_point']})\n",
        own_line=own_line,
    )
