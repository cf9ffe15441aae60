"""`bench explain --repo`: our Explain and Fix on bugs that somebody fixed, scored against what upstream did. Blocks.

The workspace holds the repository as it was before the fix; the lines that the fix changed are selected. Where the
commit's own tests tell the difference, ours is run against them; nothing of them is in the workspace that the model
is asked about, but for what stood there before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gemma_lsp.base.errors import EditError
from gemma_lsp.bench.bugs.fixes import RealFix, passes, read_fix, tells
from gemma_lsp.bench.bugs.room import Connect, engine_for, room_for
from gemma_lsp.bench.bugs.score import named_lines, parses
from gemma_lsp.bench.bugs.sums import share
from gemma_lsp.bench.bugs.tasks import changed_lines
from gemma_lsp.bench.keep import keep, read_kept
from gemma_lsp.config.schema import Settings
from gemma_lsp.engine.client import EngineClient
from gemma_lsp.features.actions import ExplainRequest, run_action
from gemma_lsp.features.actions.edits import Proposal
from gemma_lsp.features.actions.explain import explain
from gemma_lsp.features.actions.fix import FIX_BUG
from gemma_lsp.text import Text

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamOptions:
    """Which commits of which repository; `tests`: run theirs."""

    repo: Path
    revs: tuple[str, ...]
    tests: bool = True
    n_ctx: int = 8192
    json_to: Path | None = None
    settings: Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamRow:
    """One fix. `passes` is None where the tests tell nothing or there is no edit of ours.

    `same`: ours reads like upstream's. `touches`: of the lines that upstream changed, how many ours changes, too.
    """

    id: str
    title: str
    path: str
    symbol: str
    changed: tuple[int, ...]
    tells: bool
    names: bool
    lines: tuple[int, ...]
    made: int
    found: int
    offered: bool
    parses: bool
    same: bool
    touches: int
    passes: bool | None
    refused: str
    diff: str
    words: str
    generated: int


def run_upstream(options: UpstreamOptions, connect: Connect, say: Say) -> dict[str, Any]:
    """Measures, and returns the documented shape: about, sums, rows. Raises `GemmaLspError`."""
    fixes = [read_fix(options.repo, rev) for rev in options.revs]
    return asyncio.run(_run(options, fixes, connect, say))


async def _run(options: UpstreamOptions, fixes: Sequence[RealFix], connect: Connect, say: Say) -> dict[str, Any]:
    rows = read_kept(options.json_to, lambda data: {row["id"]: row for row in data["rows"]}) or {}
    about: dict[str, Any] = {}
    say("loading the model")
    async with engine_for(connect, options.n_ctx) as client:
        model = await client.ready()
        about = {"model": model.name, "build": model.build, "threads": model.threads, "n_ctx": options.n_ctx}
        for number, fix in enumerate(fixes, 1):
            if fix.id not in rows:
                say(f"{number} of {len(fixes)}: {fix.id}")
                told = options.tests and await asyncio.to_thread(tells, fix)
                rows[fix.id] = asdict(await measure_real(client, fix, options.settings, told=told))
            found = {"about": about, "sums": sums(list(rows.values())), "rows": list(rows.values())}
            keep(found, options.json_to)
    return {"about": about, "sums": sums(list(rows.values())), "rows": list(rows.values())}


async def measure_real(client: EngineClient, fix: RealFix, settings: Settings, *, told: bool) -> UpstreamRow:
    """Our explanation and our fix of one bug. `told`: its tests tell whether a fix is right."""
    files = {path: text.content for path, text in fix.files.items()}
    ctx = await room_for(client, files, fix.path, settings, fix.repo.name)
    request = ExplainRequest(path=fix.path, span=fix.span)
    said = await explain(ctx, request, lambda text: None)
    code = fix.files[fix.path].content.split("\n")
    lines = named_lines(said.words, code)
    proposal, refused = None, ""
    try:
        proposal = await run_action(ctx, FIX_BUG, request, lambda text: None)
    except EditError as error:
        refused = str(error)
    after = proposal.after if proposal is not None else None
    return UpstreamRow(
        id=fix.id,
        title=fix.title,
        path=fix.path,
        symbol=fix.symbol,
        changed=tuple(sorted(fix.changed)),
        tells=told,
        names=not lines.isdisjoint(fix.changed),
        lines=tuple(sorted(lines)),
        made=len(said.citations) + said.dropped_citations,
        found=len(said.citations),
        offered=proposal is not None,
        parses=after is not None and parses(after.content),
        same=after is not None and _squeezed(after) == _squeezed(fix.upstream),
        touches=len(fix.changed & _changed(proposal)),
        passes=await asyncio.to_thread(passes, fix, after) if told and after is not None else None,
        refused=refused,
        diff=proposal.diff() if proposal is not None else "",
        words=said.words,
        generated=said.cost.generated + (proposal.cost.generated if proposal is not None else 0),
    )


def sums(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Shares with their intervals."""
    telling = [row for row in rows if row["tells"]]
    return {
        "names_change": share([row["names"] for row in rows]).to_json(),
        "offered": share([row["offered"] for row in rows]).to_json(),
        "parses": share([row["parses"] for row in rows if row["offered"]]).to_json(),
        "touches_change": share([row["touches"] > 0 for row in rows]).to_json(),
        "same_as_upstream": share([row["same"] for row in rows]).to_json(),
        "passes": share([bool(row["passes"]) for row in telling]).to_json(),
        "citations_made": sum(row["made"] for row in rows),
        "citations_found": sum(row["found"] for row in rows),
    }


def _changed(proposal: Proposal | None) -> frozenset[int]:
    if proposal is None:
        return frozenset()
    return changed_lines(proposal.base.content.split("\n"), proposal.after.content.split("\n"))


def _squeezed(text: Text) -> str:
    return "\n".join(line.rstrip() for line in text.content.split("\n") if line.strip())
