"""`gemma-lsp bench explain`: do our fixes and explanations beat one raw request to the same model?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gemma_lsp.cli.bench.common import JsonKept, ModelFile, Sample, Seed, Together

if TYPE_CHECKING:
    from rich.console import Console

    from gemma_lsp.bench.bugs.explain_types import ExplainReport
    from gemma_lsp.bench.bugs.room import Connect
    from gemma_lsp.engine.client import EngineClient


def explain_command(
    tasks: Annotated[
        Path | None,
        typer.Option(metavar="FILE", exists=True, dir_okay=False, help="Buggy functions with tests, JSON lines."),
    ] = None,
    repo: Annotated[
        Path | None, typer.Option(metavar="DIR", exists=True, file_okay=False, help="Or real fixes.")
    ] = None,
    rev: Annotated[list[str] | None, typer.Option(metavar="SHA", help="A commit that fixes something; again.")] = None,
    sample: Sample = 0,
    seed: Seed = 0,
    parts: Annotated[str, typer.Option(help="What is measured, with commas: fix, explain, raw.")] = "fix,explain,raw",
    again: Annotated[str, typer.Option(help="Parts of an earlier --json that are measured anew.")] = "",
    model: ModelFile = "",
    n_ctx: Annotated[int, typer.Option("--n-ctx", min=2048, help="Tokens of context.")] = 4096,
    together: Together = 8,
    json_to: JsonKept = None,
) -> None:
    """Measure fixes and explanations of known bugs beside a raw chat request; takes about a minute a task."""
    from gemma_lsp.bench.bugs.explain import ExplainOptions, run_explain
    from gemma_lsp.cli import console
    from gemma_lsp.cli.engines import settings_for

    if (tasks is None) == (repo is None and not rev) or (repo is None) != (not rev):
        raise typer.BadParameter("give --tasks FILE, or --repo DIR with one --rev SHA or more", param_hint="--tasks")
    if tasks is None:
        return _upstream(repo or Path(), tuple(rev or ()), model, n_ctx, json_to)
    options = ExplainOptions(
        tasks=tasks,
        n=sample,
        seed=seed,
        parts=parts_of(parts, "--parts"),
        again=parts_of(again, "--again"),
        n_ctx=n_ctx,
        together=together,
        json_to=json_to,
        settings=settings_for(Path.cwd()),
    )
    with console.stderr().status("starting") as status:
        report = run_explain(options, many_for(model, together), lambda text: status.update(text))
    print_explain(console.stdout(), report)


def _upstream(repo: Path, revs: tuple[str, ...], model: str, n_ctx: int, json_to: Path | None) -> None:
    from gemma_lsp.bench.bugs.upstream import UpstreamOptions, run_upstream
    from gemma_lsp.cli import console
    from gemma_lsp.cli.engines import settings_for

    options = UpstreamOptions(repo=repo, revs=revs, n_ctx=n_ctx, json_to=json_to, settings=settings_for(Path.cwd()))
    with console.stderr().status("starting") as status:
        found = run_upstream(options, many_for(model, 1), lambda text: status.update(text))
    print_upstream(console.stdout(), found)


def print_upstream(out: Console, found: dict[str, Any]) -> None:
    """A line for each fix, then the shares."""
    from gemma_lsp.bench.bugs.explain_types import told_share
    from gemma_lsp.cli import console

    heads = ("commit", "definition", "named", "offered", "same place", "passes")
    rows = [
        (
            row["id"],
            row["symbol"],
            _yes(row["names"]),
            _yes(row["offered"]),
            f"{row['touches']} of {len(row['changed'])}",
            _yes(row["passes"]) if row["tells"] else "no test tells",
        )
        for row in found["rows"]
    ]
    console.print_table(out, heads, rows)
    for name, value in found["sums"].items():
        told = told_share(value) if isinstance(value, dict) else value
        out.print(f"{name.replace('_', ' ')}: {told}", soft_wrap=True)


def _yes(value: bool | None) -> str:
    return "yes" if value else "no"


def many_for(model: str, together: int) -> Connect:
    """Loads the wanted model for several answers at a time."""
    from gemma_lsp.backends.llama import LlamaOptions
    from gemma_lsp.backends.llama.many import ManyClient
    from gemma_lsp.cli.engines import find, settings_for

    settings = settings_for(Path.cwd())
    path = find(settings, model).path

    def connect(n_ctx: int) -> EngineClient:
        options = LlamaOptions(
            path=str(path),
            n_ctx=n_ctx,
            gpu_layers=settings.model.gpu_layers,
            threads=settings.model.threads,
            flash_attention=settings.model.flash_attention,
            kv_type=settings.model.kv_type,
            n_batch=settings.model.n_batch,
        )
        return ManyClient(options, together)

    return connect


def parts_of(names: str, option: str) -> tuple[str, ...]:
    """The parts that were named. Raises `typer.BadParameter`."""
    from gemma_lsp.bench.bugs.explain_types import PARTS

    wanted = tuple(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
    if any(name not in PARTS for name in wanted):
        raise typer.BadParameter(f"choose from {', '.join(PARTS)}", param_hint=option)
    return wanted


def print_explain(out: Console, report: ExplainReport) -> None:
    """Shares with their 95 % intervals, and the paired comparison."""
    from rich.markup import escape

    from gemma_lsp.bench.bugs.explain_types import told_share
    from gemma_lsp.cli import console

    sums = report.sums()
    about = report.about
    text = f"{about['model']}, {about['threads']} threads, {about['tasks']}: {len(report.rows)} tasks"
    out.print(escape(text), soft_wrap=True)
    rows = [
        ("fixes that pass the tests", told_share(sums["fix"]["passes"]), told_share(sums["raw"]["passes"])),
        ("a fix was offered", told_share(sums["fix"]["offered"]), told_share(sums["raw"]["proposed"])),
        ("offered ones that apply", told_share(sums["fix"]["offered_apply"]), "-"),
        ("offered ones that parse", told_share(sums["fix"]["offered_parse"]), told_share(sums["raw"]["parses"])),
        ("names a changed line", told_share(sums["explain"]["names_change"]), told_share(sums["raw"]["names_change"])),
    ]
    console.print_table(out, ("", "ours", "one raw request"), rows)
    words = sums["explain"]
    out.print(f"citations: {words['citations_found']} of {words['citations_made']} found", soft_wrap=True)
    _print_paired(out, "passing fixes", sums["paired"]["fix_passes"])
    _print_paired(out, "explanations that name the line", sums["paired"]["explain_names"])


def _print_paired(out: Console, what: str, found: dict[str, Any] | None) -> None:
    if found is None:
        return
    low, high = found["difference_interval"]
    ratio = "-" if found["ratio"] is None else f"{found['ratio']:.2f} times"
    out.print(
        f"{what}: {ratio}, difference {found['difference']:+.1%} (95 %: {low:+.1%} to {high:+.1%}); "
        f"only ours {found['first_only']}, only the raw one {found['second_only']}, p = {found['p']:.3f}",
        soft_wrap=True,
    )
