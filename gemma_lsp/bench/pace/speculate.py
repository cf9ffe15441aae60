"""What guessed tokens are worth: the same answers with and without them, in turns, over one resident repository.

The code to go on with stands in the repository under another name, or is Python's own. Which group an answer belongs to
is told from the answer itself: it repeats the repository if most of it stands there line by line. Of each way the
fastest turn counts: what else the machine does only ever adds time. Event loop only; the engine is in this process.
"""

from __future__ import annotations

import asyncio
import random
import sysconfig
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gemma_lsp.base.errors import GemmaLspError
from gemma_lsp.bench.editing import Editing
from gemma_lsp.bench.session import Load, Say, finished, repository_session
from gemma_lsp.engine.client import EngineClient, GenerateOptions
from gemma_lsp.engine.messages import Finished, Priority
from gemma_lsp.generate.presets import COMPLETION
from gemma_lsp.prompt.completion_tails import Place, completion_tail
from gemma_lsp.prompt.segments import Prompt
from gemma_lsp.syntax.parse import parse
from gemma_lsp.syntax.types import ParsedFile, SymbolKind
from gemma_lsp.text import Span, Text

RENAME, SIBLING, TEST, ELSEWHERE = "rename", "sibling method", "test", "elsewhere"
REPEATING, OTHER = "repeating", "not repeating"
GOALS = {REPEATING: 1.5, OTHER: 0.97}
_REPEATS = 0.75  # of an answer's characters, in lines that stand in the repository
_FEWEST = 8  # tokens of an answer from which a rate can be told
_SIZES = (250, 1500)  # characters of a function
_WARM_UP = 4  # answers until prices are known
_RESAMPLES = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeculateOptions:
    """`tasks`: of each of the two groups. `tokens`: of each answer."""

    repo: Path
    tasks: int = 24
    tokens: int = 48
    turns: int = 2
    n_ctx: int = 8192
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Code to go on with."""

    kind: str
    name: str
    path: str
    before: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One answer both ways; milliseconds a token behind the first one, each turn's."""

    kind: str
    name: str
    tokens: int
    plain_ms: tuple[float, ...]
    guessed_ms: tuple[float, ...]
    guessed: int
    right: int
    same_text: bool
    repeated: float = 0.0  # share of it that stands in the repository

    @property
    def group(self) -> str:
        """What its speed is held to."""
        return REPEATING if self.repeated >= _REPEATS else OTHER

    @property
    def ratio(self) -> float:
        """How many times as fast with guesses."""
        return min(self.plain_ms) / min(self.guessed_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """A group or kind: `ratio` of the times of all its answers, with a 95 % interval."""

    group: str
    answers: int
    ratio: float
    low: float
    high: float
    guessed: int
    right: int
    same_text: int

    @property
    def met(self) -> bool:
        """Whether it reaches its goal."""
        return self.ratio >= GOALS.get(self.group, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Speculated:
    """Everything that was measured."""

    about: dict[str, Any]
    rows: tuple[Row, ...]

    def sums(self) -> list[Sum]:
        """Both groups, and each kind of code that was begun."""
        found = [(group, [row for row in self.rows if row.group == group]) for group in GOALS]
        kinds = (RENAME, SIBLING, TEST, ELSEWHERE)
        found += [(kind, [row for row in self.rows if row.kind == kind]) for kind in kinds]
        return [_sum(name, rows) for name, rows in found if rows]

    def to_json(self) -> dict[str, Any]:
        """What is kept: docs/benchmarks/speculation.md reads it."""
        rows = [{**asdict(row), "group": row.group, "ratio": row.ratio} for row in self.rows]
        return {"about": self.about, "sums": [{**asdict(s), "met": s.met} for s in self.sums()], "rows": rows}


def run_speculate(options: SpeculateOptions, load: Load, say: Say) -> Speculated:
    """Measures for some minutes. Raises `GemmaLspError`."""
    return asyncio.run(_measure(options, load, say))


async def _measure(options: SpeculateOptions, load: Load, say: Say) -> Speculated:
    async with repository_session(options.repo, options.n_ctx, load, say) as (running, editing, known):
        tasks = choose_tasks(editing, options)
        asking = _Asking(running.client, editing, options.tokens)
        for task in tasks[:_WARM_UP]:
            await asking.once(task, guess=True)
        rows = []
        for n, task in enumerate(tasks, 1):
            say(f"{n} of {len(tasks)}: {task.kind} {task.name}")
            row = await _row(asking, task, options.turns)
            rows += [row] if row is not None else []
    about = {
        **known,
        "tokens_per_answer": options.tokens,
        "turns": options.turns,
        "seed": options.seed,
    }
    return Speculated(about=about, rows=tuple(rows))


def choose_tasks(editing: Editing, options: SpeculateOptions) -> list[Task]:
    """As many of both groups. Raises `GemmaLspError` where the repository has no function to repeat."""
    chance = random.Random(options.seed)
    resident = "".join(segment.visible for segment in editing.resident.whole)
    repeating = [
        task
        for path, parsed in sorted(editing.resident.index.files.items())
        for task in _repeated(path, parsed)
        if _body_of(task) in resident
    ]
    if not repeating:
        raise GemmaLspError("no function of the repository stands in the prompt in full; raise --n-ctx")
    chance.shuffle(repeating)
    others = list(_library())
    chance.shuffle(others)
    return [*repeating[: options.tasks], *others[: options.tasks]]


def _repeated(path: str, parsed: ParsedFile) -> Iterator[Task]:
    """Each function of a file, begun again under another name."""
    text = parsed.text
    for symbol in parsed.symbols:
        size = symbol.span.end - symbol.span.start
        if symbol.kind not in (SymbolKind.FUNCTION, SymbolKind.METHOD) or not _SIZES[0] <= size <= _SIZES[1]:
            continue
        kind = TEST if symbol.name.startswith("test") else SIBLING if symbol.kind is SymbolKind.METHOD else RENAME
        start = text.line_span(text.position(symbol.span.start).line).start
        code = text.slice(Span(start, symbol.span.end))
        begun = _begun(code.replace(symbol.name, f"{symbol.name}_again"))
        if begun:
            yield Task(kind=kind, name=symbol.qualified, path=f"again_{Path(path).name}", before=begun)


def _library() -> Iterator[Task]:
    """Functions of Python's library, begun."""
    folder = Path(sysconfig.get_path("stdlib"))
    for path in sorted(folder.glob("*.py")):
        content = path.read_text("utf-8", "replace").replace("\r", "")
        if len(content) > 60_000:
            continue
        parsed = parse(path.name, Text(content))
        for symbol in parsed.symbols:
            size = symbol.span.end - symbol.span.start
            if symbol.kind is SymbolKind.FUNCTION and _SIZES[0] <= size <= _SIZES[1]:
                begun = _begun(content[symbol.span.start : symbol.span.end])
                if begun:
                    yield Task(kind=ELSEWHERE, name=f"{path.stem}.{symbol.name}", path=path.name, before=begun)
                break


def _begun(code: str) -> str:
    """The first third of a function's lines, three at least; "" where nothing would be left."""
    lines = code.split("\n")
    n = max(3, len(lines) // 3)
    return "\n".join(lines[:n]) + "\n" if len(lines) >= n + 3 else ""


def _body_of(task: Task) -> str:
    return task.before.split("\n")[-2]


class _Asking:
    """Asks for answers of one length."""

    def __init__(self, client: EngineClient, editing: Editing, tokens: int) -> None:
        self._client, self._editing, self._tokens = client, editing, tokens
        resident = "".join(segment.visible for segment in editing.resident.whole)
        self._lines = {line.strip() for line in resident.split("\n")}

    def repeated(self, text: str) -> float:
        """Share of the text's characters that are in lines of the repository; the last line may be unfinished."""
        *lines, last = [line.strip() for line in text.split("\n")]
        there = sum(len(line) for line in lines if line in self._lines)
        there += len(last) if any(line.startswith(last) for line in self._lines) else 0
        return there / max(1, sum(map(len, (*lines, last))))

    async def once(self, task: Task, *, guess: bool, tokens: int = 0) -> Finished:
        """One answer."""
        n = tokens or self._tokens
        options = GenerateOptions(priority=Priority.COMPLETION, max_tokens=n, sampling=COMPLETION, guess=guess)
        return await finished(self._client, self._prompt(task), options)

    def _prompt(self, task: Task) -> Prompt:
        tail = completion_tail(self._editing.frame, Place(path=task.path, before=task.before, after=""))
        return (*self._editing.resident.whole, *tail.segments)


async def _row(asking: _Asking, task: Task, turns: int) -> Row | None:
    """Both ways in turns, each first every other time; None for an answer too short to be timed.

    The prompt is read before, so that all turns begin alike.
    """
    await asking.once(task, guess=False, tokens=1)
    plain, guessed = list[Finished](), list[Finished]()
    for turn in range(turns):
        for guess in (True, False) if turn % 2 else (False, True):
            (guessed if guess else plain).append(await asking.once(task, guess=guess))
    if min(done.cost.generated for done in (*plain, *guessed)) < _FEWEST:
        return None
    return Row(
        kind=task.kind,
        name=task.name,
        tokens=plain[0].cost.generated,
        plain_ms=tuple(map(_ms_per_token, plain)),
        guessed_ms=tuple(map(_ms_per_token, guessed)),
        guessed=sum(done.cost.guessed for done in guessed),
        right=sum(done.cost.guessed_right for done in guessed),
        same_text=len({done.text for done in (*plain, *guessed)}) == 1,
        repeated=asking.repeated(plain[0].text),
    )


def _ms_per_token(done: Finished) -> float:
    return (done.cost.total_ms - done.cost.first_token_ms) / (done.cost.generated - 1)


def _sum(group: str, rows: list[Row]) -> Sum:
    """The answers of a group are drawn again and again for the interval."""
    chance = random.Random(0)
    drawn = sorted(_ratio(chance.choices(rows, k=len(rows))) for _ in range(_RESAMPLES))
    return Sum(
        group=group,
        answers=len(rows),
        ratio=_ratio(rows),
        low=drawn[int(0.025 * _RESAMPLES)],
        high=drawn[int(0.975 * _RESAMPLES)],
        guessed=sum(row.guessed for row in rows),
        right=sum(row.right for row in rows),
        same_text=sum(row.same_text for row in rows),
    )


def _ratio(rows: list[Row]) -> float:
    return sum(min(row.plain_ms) for row in rows) / sum(min(row.guessed_ms) for row in rows)
