"""The 21,593 labelled messages of tests/data/lsp-messages, valid and invalid."""

from __future__ import annotations

import functools
import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATH = Path(__file__).parents[1] / "data/lsp-messages/messages.jsonl.gz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One message; `kind` is the name that the meta model has for its type."""

    kind: str
    valid: bool
    message: dict[str, Any]

    @property
    def method(self) -> str | None:
        """None for an answer, and for a message that should have one."""
        return self.message.get("method")


@functools.cache
def samples() -> tuple[Sample, ...]:
    """All of them, in order. Not to be changed."""
    with gzip.open(PATH, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return tuple(Sample(kind=row["type"], valid=row["valid"], message=row["message"]) for row in rows)
