"""`bench review`: what our diagnostics say about functions that are known to be wrong, their right twins, and modules.

The product's own two passes, at every confidence, so that the curve is known. Also, apart from the product: what
reading the code gives for free, each token's log-probability against the best alternative. Blocks.
"""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from gemma_lsp.base.errors import ConfigError
from gemma_lsp.bench.bugs.review_types import Claim, Doubt, Reviewed, ReviewReport, read_report
from gemma_lsp.bench.bugs.room import Connect, at_a_time, engine_for, room_for
from gemma_lsp.bench.bugs.tasks import BugTask, about_run, load_tasks, sample
from gemma_lsp.bench.driver import ScoringBackend
from gemma_lsp.bench.keep import keep, read_kept
from gemma_lsp.bench.session import Load, LoadOptions
from gemma_lsp.config.schema import Settings
from gemma_lsp.engine.client import EngineClient
from gemma_lsp.engine.messages import Cost
from gemma_lsp.features.diagnostics import claims_about, confirmed, place_of, reviewed
from gemma_lsp.generate.answers import sum_costs
from gemma_lsp.syntax.parse import parse
from gemma_lsp.text import Text

STDLIB = ("bisect", "copy", "fnmatch", "graphlib", "heapq", "queue", "sched", "shlex", "string", "textwrap")
MAX_LINES = 5000  # of the modules together
_BATCH = 128  # tokens scored at a time: a row of logits each

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A file to be reviewed. `changed`: its lines that are wrong; `symbols`: what is read of it, () for all."""

    name: str
    kind: str
    code: str
    changed: frozenset[int] = frozenset()
    symbols: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Names it in the report."""
        return f"{self.kind} {self.name}"

    @property
    def path(self) -> str:
        """Its file in a workspace; twins have the same one."""
        return f"{self.name.rpartition('/')[2] if self.kind == 'stdlib' else 'code'}.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewOptions:
    """What is measured. `tasks` None leaves the twins out; `n` 0: all tasks.

    `claims`: what the model says, in two passes; `doubts`: what its probabilities say.
    """

    tasks: Path | None
    n: int = 0
    seed: int = 0
    modules: tuple[str, ...] = ()
    claims: bool = True
    doubts: bool = True
    n_ctx: int = 4096
    together: int = 1
    json_to: Path | None = None
    settings: Settings


def run_review(options: ReviewOptions, connect: Connect, load: Load, say: Say) -> ReviewReport:
    """Measures. Raises `GemmaLspError`; what was measured until then is in the file."""
    report = read_kept(options.json_to, read_report) or ReviewReport(about={})
    pieces = [*_twins(options), *_modules(options.modules)]
    due = [piece for piece in pieces if options.claims and piece.key not in report.rows]
    if due:
        asyncio.run(_review(options, due, report, connect, say))
    unread = [piece for piece in pieces if options.doubts and piece.kind != "stdlib" and piece.key not in report.doubts]
    if unread:
        say("loading the model")
        backend = load(LoadOptions(n_ctx=options.n_ctx, n_outputs=_BATCH))
        try:
            for number, piece in enumerate(unread, 1):
                say(f"reading {number} of {len(unread)}: {piece.key}")
                report.doubts[piece.key] = doubt_about(backend, piece)
                keep(report.to_json(), options.json_to)
        finally:
            backend.close()
    keep(report.to_json(), options.json_to)
    return report


async def _review(
    options: ReviewOptions, due: Sequence[Piece], report: ReviewReport, connect: Connect, say: Say
) -> None:
    say("loading the model")
    async with engine_for(connect, options.n_ctx) as client:
        model = await client.ready()
        o = options
        known = about_run(o.tasks, model, n_ctx=o.n_ctx, together=o.together, sample=o.n, seed=o.seed)
        report.about = {**known, "modules": list(options.modules)}

        async def measure(number: int, piece: Piece) -> None:
            say(f"{number} of {len(due)}: {piece.key}")
            report.rows[piece.key] = await review_piece(client, piece, options.settings)
            keep(report.to_json(), options.json_to)

        await at_a_time(options.together, (measure(n, piece) for n, piece in enumerate(due, 1)))


async def review_piece(client: EngineClient, piece: Piece, settings: Settings) -> Reviewed:
    """Both passes over every function of a file, whatever its confidence."""
    every = replace(settings, diagnostics=replace(settings.diagnostics, min_confidence=0))
    ctx = await room_for(client, {piece.path: piece.code}, piece.path, every)
    parsed = ctx.index.files[piece.path]
    found: list[Claim] = []
    cost, n = Cost(), 0
    for symbol in reviewed(parsed):
        if piece.symbols and symbol.qualified not in piece.symbols:
            continue
        n += 1
        claims = await claims_about(ctx, parsed, symbol)
        kept, more = await confirmed(ctx, parsed, symbol, claims.findings)
        cost = sum_costs(sum_costs(cost, claims.cost), more)
        sure = {(claim.start, claim.end) for claim in kept}
        for claim in claims.findings:
            span = place_of(symbol, claim)
            first, last = (parsed.text.position(at).line for at in (span.start, max(span.start, span.end - 1)))
            found.append(
                Claim(
                    symbol=symbol.qualified,
                    line=first,
                    confidence=claim.confidence,
                    confirmed=(claim.start, claim.end) in sure,
                    covers=parsed.text.slice(span) == claim.quoted,
                    hits=not piece.changed.isdisjoint(range(first, last + 1)),
                    message=claim.message,
                )
            )
    return Reviewed(
        name=piece.name,
        kind=piece.kind,
        n_lines=piece.code.count("\n"),
        n_functions=n,
        claims=tuple(found),
        generated=cost.generated,
        ms=round(cost.total_ms, 1),
    )


def doubt_about(backend: ScoringBackend, piece: Piece) -> Doubt:
    """How much each line surprises a model that reads the file from its start, docstring lines left out."""
    tokens = backend.tokenize(piece.code, False)
    first = [backend.bos] if backend.bos is not None else backend.tokenize("\n", False)
    backend.remove(0, 0, -1)
    read, gaps = [*first, *tokens], dict[int, float]()
    ends = np.cumsum([len(backend.piece(token)) for token in tokens])
    line_ends = np.cumsum([len(line.encode()) + 1 for line in piece.code.split("\n")])
    told = _code_lines(piece)
    size = min(_BATCH, backend.n_slice)
    for start in range(0, len(tokens), size):
        some = tokens[start : start + size]
        rows = backend.score(0, start, read[start : start + len(some)])
        for n, token in enumerate(some):
            row = rows[n]
            at = int(ends[start + n]) - len(backend.piece(token).lstrip())
            line = int(np.searchsorted(line_ends, at, side="right"))
            if line in told and backend.piece(token).strip():
                gaps[line] = max(gaps.get(line, 0.0), round(float(row.max() - row[token]), 4))
    return Doubt(name=piece.name, kind=piece.kind, gaps=gaps, changed=tuple(sorted(piece.changed)))


def _code_lines(piece: Piece) -> frozenset[int]:
    """Lines of the function's body behind its docstring."""
    text = Text.normalised(piece.code)
    symbols = [s for s in parse(piece.path, text).symbols if not piece.symbols or s.qualified in piece.symbols]
    lines: set[int] = set()
    for symbol in symbols:
        start = symbol.docstring.end if symbol.docstring is not None else symbol.body.start
        first = text.position(start).line + (symbol.docstring is not None)
        lines |= set(range(first, text.position(symbol.span.end).line + 1))
    return frozenset(n for n in lines if text.line(n).strip())


def _twins(options: ReviewOptions) -> list[Piece]:
    tasks = sample(load_tasks(options.tasks), options.n, options.seed) if options.tasks else ()
    return [piece for task in tasks for piece in twins_of(task)]


def twins_of(task: BugTask) -> tuple[Piece, Piece]:
    """The function wrong and right; only it is read."""
    wrong = Piece(name=task.id, kind="buggy", code=task.buggy, changed=task.changed, symbols=(task.name,))
    return wrong, Piece(name=task.id, kind="clean", code=task.correct, symbols=(task.name,))


def _modules(names: Sequence[str]) -> list[Piece]:
    """Modules of the Python that runs this. Raises `ConfigError`."""
    pieces = []
    for name in names:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
            raise ConfigError(f"{name} is no module of this Python that has source; choose other --modules")
        code = Path(spec.origin).read_text(encoding="utf-8").replace("\r\n", "\n")
        pieces.append(Piece(name=name, kind="stdlib", code=code))
    if (n := sum(piece.code.count("\n") for piece in pieces)) > MAX_LINES:
        raise ConfigError(f"these modules have {n:,} lines; choose --modules with at most {MAX_LINES:,}")
    return pieces
