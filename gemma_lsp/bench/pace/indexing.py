"""What the syntax layer and the prompt's upkeep cost: reading a repository, and following someone who types.

No model and no protocol: token counts are the guess by length, and a keystroke is what `didChange` does in the process
after its JSON was read. Blocks; any one thread. Times are of the wall clock, so that a busy machine shows in them.
"""

from __future__ import annotations

import gc
import itertools
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from gemma_lsp.app.garbage import defer_full_collections
from gemma_lsp.app.workspace import Workspace
from gemma_lsp.base.errors import GemmaLspError
from gemma_lsp.config.schema import Settings
from gemma_lsp.prompt.frame import Frame
from gemma_lsp.prompt.layout import LayoutOptions, plan_layout
from gemma_lsp.syntax.index import Index, build
from gemma_lsp.text import PositionEncoding, Text, units_from_column
from gemma_lsp.workspace.fitness import Fitness
from gemma_lsp.workspace.mirror import DocumentProblem, OpenDocuments, RawChange, RawPosition, RawRange
from gemma_lsp.workspace.rules import ScanOptions
from gemma_lsp.workspace.scan import scan
from gemma_lsp.workspace.snapshot import WorkspaceSnapshot

LINES = 5_000  # of the file that is typed in
BUDGET = 32_768  # tokens of the body around which one types
_URI = "file:///typed.py"
_FRAME = Frame(head=(), fim={}, chat=False)
_SNIPPETS = (  # as typed, key by key; "\b" takes one back, and the first goes to the end of a line
    "\nvalue = compute(items[0], key=lambda item: item.name)\nreturn vaule\b\b\blue",
    "\nfor name, entry in sorted(table.items()):\n    if entry is None:\n        continue\n    print(f'{name!r}')",
    '\n"""Says what it does.\n\nAnd why."""',
    "\nresult = [\n    first,\n    {'second': (third, [fourth])},\n]\b\b\b\n]",
    "\n\ndef helper(first, second=None):\n    '''It helps.'''\n    return first + second\n\n",
    "  # a remark about the line",
)

Clock = Callable[[], float]


class NothingToIndex(GemmaLspError):
    """The folder holds no file that belongs into the prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexSpeed:
    """One indexing of a folder, in one process. Sizes in bytes; `n_bytes` is of the source, as UTF-8.

    Processes beside this one read some of the files, so a second core helps.
    `mb_per_s`: parsing and tables, 10**6 bytes a second; reading the disk is `read_s`, and not in it.
    `rss_growth`: what texts and index hold. Right in a process that has not indexed before: freed memory is used again.
    """

    mb_per_s: float
    read_s: float
    files: int
    n_bytes: int
    rss_growth: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Milliseconds a keystroke, over `n` of them."""

    n: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


def index_speed(root: Path, *, helpers: int | None = None, clock: Clock = time.perf_counter) -> IndexSpeed:
    """Reads and indexes a folder as the server does at its start, or with so many helping processes.

    Raises `NothingToIndex`.
    """
    gc.collect()
    before, start = _resident_bytes(), clock()
    snapshot = _snapshot(root)
    middle = clock()
    index = build(snapshot, helpers=helpers)
    index.definitions("")  # makes the tables that a layout asks for
    index.references("")
    end = clock()
    gc.collect()
    n_bytes = sum(len(text.content.encode()) for text in snapshot.files.values())
    return IndexSpeed(
        mb_per_s=n_bytes / 1e6 / max(end - middle, 1e-9),
        read_s=middle - start,
        files=len(index.files),
        n_bytes=n_bytes,
        rss_growth=_resident_bytes() - before,
    )


def read_index(root: Path) -> Index:
    """The index of a folder, to type in. Raises `NothingToIndex`."""
    return build(_snapshot(root))


def with_long_file(index: Index, n_lines: int = LINES) -> tuple[Index, str]:
    """The index with one more Python file of `n_lines` or a few more, made of the repository's own definitions, and
    that file's path. Raises `NothingToIndex` where there is no Python.
    """
    path = "one_long_file.py"
    paths = sorted(p for p, f in index.files.items() if p != path and f.language == "python" and not f.error_spans)
    chunks = [index.files[p].text.slice(chunk.span) for p in paths for chunk in index.files[p].chunks]
    if not any(chunks):
        raise NothingToIndex("the folder holds no Python; name one that does")
    taken: list[str] = []
    left = n_lines
    for chunk in itertools.cycle(chunks):
        taken.append(chunk if chunk.endswith("\n") else chunk + "\n")
        left -= taken[-1].count("\n")
        if left <= 0:
            break
    return index.with_changes(index.snapshot.with_changes({path: Text("".join(taken))})), path


def keystrokes(index: Index, path: str, n: int, seed: int, *, clock: Clock = time.perf_counter) -> Latency:
    """Types `n` keys into a file of the index and says how long each held the event loop. Same seed, same keys.

    A key is: the change applied to the open document, the file parsed again, index and prompt brought up to it, and
    asked whether the prompt is stale. Bursts of keys go in turn to the top, the middle, the end and anywhere; some
    open a bracket or a quote that stays open for a while.
    """
    documents, workspace, fitness = OpenDocuments(), _workspace(index), Fitness(ScanOptions())
    defer_full_collections()
    text = documents.open(_URI, 0, "python", index.files[path].text.content).text
    workspace.open(path, text)
    chance, spent = random.Random(seed), list[float]()
    while len(spent) < n:
        for change in _burst(text, chance, len(spent)):
            start = clock()
            text = _press(documents, fitness, workspace, path, change)
            spent.append(clock() - start)
    return latency(spent[:n])


def latency(seconds: Sequence[float]) -> Latency:
    """Percentiles of at least one duration."""
    in_order = sorted(1000 * spent for spent in seconds)

    def at(share: float) -> float:
        return in_order[min(len(in_order) - 1, int(share * len(in_order)))]

    return Latency(n=len(in_order), p50_ms=at(0.5), p95_ms=at(0.95), p99_ms=at(0.99), max_ms=in_order[-1])


def _snapshot(root: Path) -> WorkspaceSnapshot:
    found = scan(root, ScanOptions())
    if not found.files:
        raise NothingToIndex(f"{root} holds no file that belongs into the prompt; name a folder with Python in it")
    return WorkspaceSnapshot(root=root, name=root.name, files=found.files, skipped=found.skipped)


def _workspace(index: Index) -> Workspace:
    """A workspace as it stands after its first layout."""
    workspace = Workspace(name=index.snapshot.name, root=index.snapshot.root, settings=Settings())
    workspace.replace_all(index)
    workspace.start_resident(plan_layout(index, LayoutOptions(budget_tokens=BUDGET)), index, _FRAME)
    return workspace


def _press(documents: OpenDocuments, fitness: Fitness, workspace: Workspace, path: str, change: RawChange) -> Text:
    """One didChange without its protocol: what `App.change` does."""
    document = documents.change(_URI, 0, (change,), PositionEncoding.UTF16)
    if isinstance(document, DocumentProblem):
        raise TypeError(document.message)
    unfit = fitness.unfit(path, document.text)
    if unfit is not None:
        raise NothingToIndex(f"{path} may not enter a prompt ({unfit}); type in another file")
    workspace.edit(path, document.text)
    assert workspace.resident is not None
    _ = workspace.resident.stale
    return document.text


def _burst(text: Text, chance: random.Random, n_before: int) -> Iterator[RawChange]:
    """One snippet typed at the end of a line, with the indentation that an editor gives."""
    last = text.n_lines - 1
    line = (chance.randrange(last // 10 + 1), last // 2, last, chance.randrange(last + 1))[chance.randrange(4)]
    own = text.line(line)
    beside = next((said for n in range(line, -1, -1) if (said := text.line(n)).strip()), "")
    indent = beside[: len(beside) - len(beside.lstrip())]
    unit = units_from_column(own, len(own), PositionEncoding.UTF16)
    keys = iter(chance.choice(_SNIPPETS))
    for key in keys:
        start = end = RawPosition(line, unit)
        if key == "\b":
            start, key = RawPosition(line, unit - 1), ""
        elif key == "\n":
            key += indent
        yield RawChange(RawRange(start, end), key)
        line, unit = (line + 1, len(indent)) if key[:1] == "\n" else (line, start.unit + len(key))


def _resident_bytes() -> int:
    return int(psutil.Process().memory_info().rss)
