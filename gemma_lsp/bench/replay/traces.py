"""Keystrokes that were recorded in an editor, played back: what does a completion after each of them wait for?

The format is that of github.com/josephg/editing-traces: a start text, and transactions of (offset, deleted, inserted).
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gemma_lsp.base.errors import GemmaLspError
from gemma_lsp.bench.editing import Editing
from gemma_lsp.bench.replay.costs import ANSWER_TOKENS
from gemma_lsp.bench.replay.report import Spread, spread
from gemma_lsp.bench.session import finished, warm
from gemma_lsp.engine.client import EngineClient, GenerateOptions
from gemma_lsp.engine.messages import Priority
from gemma_lsp.features.gap import gap_place, gap_room, stands_alone
from gemma_lsp.generate.presets import COMPLETION
from gemma_lsp.prompt.completion_tails import Place, completion_prompt, completion_tail
from gemma_lsp.prompt.segments import Prompt
from gemma_lsp.text import Text

TYPED_IN = "typed.md"
ONE_KEY = 2  # characters at most; an editor closes a bracket by itself
BEYOND, REUSED = 3.0, 0.995
_ROOM = 64


class TraceError(GemmaLspError):
    """The file does not hold what it should."""


@dataclass(frozen=True, slots=True)
class Patch:
    """`deleted` code points at `offset` replaced by `inserted`."""

    offset: int
    deleted: int
    inserted: str


@dataclass(frozen=True, slots=True)
class Trace:
    """A text and what was done to it, one transaction after the other."""

    start: str
    transactions: tuple[tuple[Patch, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRow:
    """One transaction. Tokens: of what it inserted, of the prompt, and those that the answer waited for.

    `laid_out`: the prompt was laid out anew before it, because it had no room left; `idle`: read after the answer.
    """

    number: int
    inserted: str
    typed: int
    prompt: int
    evaluated: int
    laid_out: bool
    idle: int

    @property
    def is_key(self) -> bool:
        """Whether somebody typed it: a paste is none, and neither is what only takes away."""
        return 0 < len(self.inserted) <= ONE_KEY

    @property
    def beyond(self) -> int:
        """Tokens beyond the typed ones."""
        return self.evaluated - self.typed


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySum:
    """A kind of transactions. `reused`: the share of the prompt that was not evaluated; its p95 is the worse end."""

    kind: str
    n: int
    prompt: Spread
    evaluated: Spread
    beyond: Spread
    reused: Spread
    laid_out: int
    idle: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceReport:
    """What playing a trace found."""

    about: dict[str, Any]
    rows: tuple[KeyRow, ...]

    def sums(self) -> tuple[KeySum, ...]:
        """Keys, other transactions, and all of them."""
        kinds = (
            ("keys", [row for row in self.rows if row.is_key]),
            ("others", [row for row in self.rows if not row.is_key]),
            ("all", list(self.rows)),
        )
        return tuple(_sum(kind, rows) for kind, rows in kinds if rows)

    def to_json(self) -> dict[str, Any]:
        """The documented shape of `--json`: the sums first."""
        return {
            "about": self.about,
            "goals": {"beyond_median": BEYOND, "reused_median": REUSED},
            "sums": [asdict(s) for s in self.sums()],
            "rows": [[r.number, r.typed, r.prompt, r.evaluated, int(r.laid_out), r.idle] for r in self.rows],
            "columns": ["number", "typed", "prompt", "evaluated", "laid_out", "idle"],
        }


def read_trace(path: Path) -> Trace:
    """A recorded session, gzipped or not. Raises `TraceError`."""
    try:
        data = path.read_bytes()
        found = json.loads(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data)
        transactions = tuple(tuple(Patch(*patch) for patch in txn["patches"]) for txn in found["txns"])
        return Trace(str(found["startContent"]), transactions)
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError) as error:
        raise TraceError(f"{path} holds no editing trace ({error}); see github.com/josephg/editing-traces") from error


def states(trace: Trace) -> Iterator[tuple[str, int, str]]:
    """After each transaction: the text, the cursor behind the last patch, and everything that was inserted."""
    content = trace.start
    for patches in trace.transactions:
        cursor = 0
        for patch in patches:
            content = content[: patch.offset] + patch.inserted + content[patch.offset + patch.deleted :]
            cursor = patch.offset + len(patch.inserted)
        yield content, cursor, "".join(patch.inserted for patch in patches)


async def play(
    client: EngineClient, editing: Editing, trace: Trace, keys: int, say: Callable[[str], None]
) -> list[KeyRow]:
    """The first `keys` transactions, typed into a file that is new to the repository."""
    await warm(client, editing.resident.whole)
    rows: list[KeyRow] = []
    for number, (content, cursor, inserted) in enumerate(states(trace), 1):
        if number > keys:
            break
        if number % 50 == 0:
            say(f"trace: {number:,} of {min(keys, len(trace.transactions)):,}")
        editing.edit(TYPED_IN, Text(content), cursor)
        rows.append(await _key(client, editing, number, content, cursor, inserted))
    return rows


async def _key(client: EngineClient, editing: Editing, number: int, content: str, cursor: int, inserted: str) -> KeyRow:
    prompt, laid_out = _prompt(editing, content, cursor), False
    if editing.count.total(prompt) + _ROOM >= editing.n_ctx:
        editing.lay_out()
        prompt, laid_out = _prompt(editing, content, cursor), True
    alone = stands_alone(editing.frame, editing.model)
    options = GenerateOptions(priority=Priority.COMPLETION, max_tokens=ANSWER_TOKENS, sampling=COMPLETION, alone=alone)
    cost = (await finished(client, prompt, options)).cost
    idle = 0
    if laid_out or editing.resident.stale:
        if not laid_out:
            editing.lay_out()
        idle = (await warm(client, editing.resident.whole)).evaluated
    return KeyRow(
        number=number,
        inserted=inserted,
        typed=len(editing.count.tokenize(inserted, False)) if inserted else 0,
        prompt=cost.prompt,
        evaluated=cost.evaluated,
        laid_out=laid_out,
        idle=idle,
    )


def _prompt(editing: Editing, content: str, cursor: int) -> Prompt:
    """What the product asks at this place, but for similar code and what is certain of the line."""
    if stands_alone(editing.frame, editing.model):
        room = gap_room(editing.model)
        gap = gap_place(TYPED_IN, Text(content), cursor, n_room=room, tokens_per_s=None)
        return completion_prompt(editing.frame, (), gap).segments
    hole = editing.resident.hole
    assert hole is not None
    start, end = min(hole.span.start, cursor), max(hole.span.end, cursor)
    place = Place(path=TYPED_IN, before=content[start:cursor], after=content[cursor:end])
    return (*editing.resident.head(), *completion_tail(editing.frame, place).segments)


def _sum(kind: str, rows: list[KeyRow]) -> KeySum:
    evaluated_shares = spread([row.evaluated / row.prompt for row in rows])
    return KeySum(
        kind=kind,
        n=len(rows),
        prompt=spread([row.prompt for row in rows]),
        evaluated=spread([row.evaluated for row in rows]),
        beyond=spread([row.beyond for row in rows]),
        reused=Spread(median=1 - evaluated_shares.median, p95=1 - evaluated_shares.p95),
        laid_out=sum(row.laid_out for row in rows),
        idle=sum(row.idle for row in rows),
    )
