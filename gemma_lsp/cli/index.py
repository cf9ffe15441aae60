"""`gemma-lsp index`: what of a repository stands in the prompt, in which form and order, at how many tokens, and why.

Lays out as the server does, with nothing open. Tokens are counted by the engine where there is a model, else guessed.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from gemma_lsp.app.disk import Disk
from gemma_lsp.app.laying import budget, lay_out
from gemma_lsp.base.cancel import CancelSource
from gemma_lsp.base.errors import GemmaLspError
from gemma_lsp.cli import console
from gemma_lsp.cli.engines import engine_factory, settings_for
from gemma_lsp.cli.machine import CPU_MAX_CTX
from gemma_lsp.config.schema import Settings
from gemma_lsp.prompt.frame import frame_for
from gemma_lsp.prompt.layout import Form, Layout, LayoutOptions, estimate
from gemma_lsp.prompt.segments import Segment
from gemma_lsp.syntax.index import Index, build
from gemma_lsp.syntax.volatility import commit_shares
from gemma_lsp.workspace.scan import ScanResult, files_under
from gemma_lsp.workspace.snapshot import WorkspaceSnapshot

_BUDGET_WITHOUT_MODEL = CPU_MAX_CTX - 4096  # what the context of a CPU leaves for the body
_SHOWN_SKIPPED = 3

Count = Callable[[Sequence[Segment]], Awaitable[list[int]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexOptions:
    """What is asked. `budget` 0: as the settings say; `estimate`: do not ask a model."""

    root: Path
    budget: int = 0
    model: str = ""
    estimate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The layout with what it was made from. `model` is "" where tokens are guessed, for the reason in `why`.

    The preamble's tokens stand before the files and count against the budget.
    """

    root: Path
    layout: Layout
    scan: ScanResult
    preamble: int = 0
    model: str = ""
    why: str = ""

    @property
    def budget(self) -> int:
        """Tokens for the preamble and the files."""
        return self.layout.budget + self.preamble

    def to_json(self) -> dict[str, Any]:
        """The documented shape of `--json`; `order` is null for files that are not in the prompt."""
        return {
            "root": str(self.root),
            "budget": self.budget,
            "preamble": self.preamble,
            "tokens": self.layout.n_tokens,
            "counted": bool(self.model),
            "model": self.model or None,
            "files": [
                {
                    "path": entry.path,
                    "form": str(entry.form),
                    "tokens": entry.n_tokens,
                    "reason": entry.reason,
                    "order": None if entry.form is Form.ABSENT else order,
                }
                for order, entry in enumerate(self.layout.entries, 1)
            ],
            "skipped": dict(self.scan.skipped),
            "limit": self.scan.limit,
        }


def holds_anything(root: Path) -> bool:
    """Whether a folder has a file of a kind that is read, fit for it or not; none is opened, and nothing is logged."""
    paths, _ = files_under(Disk(root, settings_for(root, quiet=True).index).rules(), "")
    return bool(paths)


def nothing_to_read(root: Path) -> str:
    """What is said of a folder without a file that is read."""
    return (
        f"there is nothing to read in {root}: Python files, README files and what configures the project are read, "
        "and whatever the setting index.include names"
    )


def run_index(options: IndexOptions, *, as_json: bool) -> None:
    """Prints the report."""
    report = asyncio.run(make_report(options))
    if as_json:
        console.print_json(report.to_json())
    else:
        _print(report)


async def make_report(options: IndexOptions) -> Report:
    """Reads and lays out the repository. Raises `ModelError` if the model was named and cannot be used."""
    settings = settings_for(options.root)
    found, index = _read(options.root, settings)
    wanted = options.budget or settings.index.budget_tokens
    why = "no model was asked"
    if not options.estimate:
        try:
            return await _counted(options, settings, found, index, wanted)
        except GemmaLspError as error:
            if options.model:
                raise
            why = str(error)
    room = wanted or _BUDGET_WITHOUT_MODEL
    layout_options = LayoutOptions(budget_tokens=room, volatility=commit_shares(options.root))
    layout = await lay_out(index, layout_options, _guess, {})
    return Report(root=options.root, layout=layout, scan=found, why=why)


def _read(root: Path, settings: Settings) -> tuple[ScanResult, Index]:
    found = Disk(root, settings.index).scan(CancelSource().token)
    snapshot = WorkspaceSnapshot(root=root, name=root.name, files=found.files, skipped=found.skipped)
    return found, build(snapshot)


async def _counted(options: IndexOptions, settings: Settings, found: ScanResult, index: Index, wanted: int) -> Report:
    client = await engine_factory(options.model)(settings)
    try:
        model = await client.ready()
        head = sum(await client.count(frame_for(model, options.root.name).head))
        room = budget(model, wanted) - head
        layout_options = LayoutOptions(budget_tokens=room, volatility=commit_shares(options.root))
        layout = await lay_out(index, layout_options, client.count, {})
    finally:
        await client.close()
    return Report(root=options.root, layout=layout, scan=found, preamble=head, model=model.name)


async def _guess(segments: Sequence[Segment]) -> list[int]:
    return estimate(segments)


def _print(report: Report) -> None:
    out = console.stdout()
    if report.layout.entries:
        _print_layout(out, report)
    else:
        out.print(escape(nothing_to_read(report.root)), soft_wrap=True)
    for reason, paths in _by_reason(report.scan.skipped).items():
        more = f" and {len(paths) - _SHOWN_SKIPPED:,} more" if len(paths) > _SHOWN_SKIPPED else ""
        out.print(escape(f"left out, {reason}: {', '.join(paths[:_SHOWN_SKIPPED])}{more}"))
    if report.scan.limit:
        out.print(escape(report.scan.limit))


def _print_layout(out: Console, report: Report) -> None:
    layout = report.layout
    rows = [
        ("" if e.form is Form.ABSENT else order, e.form, e.n_tokens, e.path, e.reason)
        for order, e in enumerate(layout.entries, 1)
    ]
    console.print_table(out, ("order", "form", "tokens", "path", "why"), rows, right=("order", "tokens"))
    forms = Counter(entry.form for entry in layout.entries)
    counts = ", ".join(f"{n} {form}" for form in Form if (n := forms[form]))
    by = f"counted by {report.model}" if report.model else f"estimated: {report.why}"
    used = f"{layout.n_tokens + report.preamble:,} of {report.budget:,} tokens"
    out.print(f"\n{counts}; {used}, the preamble's {report.preamble:,} among them ({escape(by)})")


def _by_reason(skipped: dict[str, str]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for path, reason in skipped.items():
        grouped.setdefault(reason, []).append(path)
    return grouped
