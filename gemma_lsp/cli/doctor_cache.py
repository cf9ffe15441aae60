"""`gemma-lsp doctor --cache`: cached answers against cold ones, with the user's model, build and settings."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from gemma_lsp.bench.cache_check import N_CTX, N_OUTPUTS, SPLICED, CacheReport, check_cache
from gemma_lsp.bench.driver import Driver
from gemma_lsp.bench.session import LoadOptions
from gemma_lsp.cli import console
from gemma_lsp.cli.bench.common import loader_for

_ADVICE = "cached answers of this model differ from cold ones by more than the noise: set engine.masks to false"
_ADVICE_SPLICES = "what is spliced into this model's cache is not what would be read there: set engine.splices to false"
_TAKES = (
    "comparing cached answers with cold ones: the model is loaded and reads about 10,000 tokens, "
    "which takes minutes with a small model on a CPU, and longer with a larger one"
)


def run_cache_check(model: str, *, as_json: bool) -> int:
    """Prints what was found; 1 if a cached answer is not what a cold one is. Raises `GemmaLspError`."""
    err = console.stderr()
    err.print(_TAKES, soft_wrap=True)
    with err.status("reading"):
        # Cells for two trunks, each with what it masks.
        options = LoadOptions(n_ctx=2 * N_CTX, n_trunks=2, n_outputs=N_OUTPUTS, shifts=True)
        driver = Driver(loader_for(model, Path.cwd())(options))
        try:
            name, masks = driver.backend.info.name, driver.backend.can.hide
            report = check_cache(driver)
        finally:
            driver.close()
    if as_json:
        console.print_json({"model": name, "masks": masks, "ok": report.ok, **asdict(report)})
    else:
        print_report(console.stdout(), name, report)
    return int(not report.ok)


def print_report(out: Console, name: str, report: CacheReport) -> None:
    """The comparisons as a table, and what to do."""
    out.print(escape(f"{name}: mean KL to a cache that was filled from nothing, in nats"), soft_wrap=True)
    rows = [(c.name, f"{c.kl:.4f}", f"{c.limit:.4f}", "ok" if c.ok else "NOT OK") for c in report.checks]
    rows += [("(not told)", f"{report.stale:.4f}", "", ""), ("(noise)", f"{report.noise:.4f}", "", "")]
    console.print_table(out, ("answer after", "KL", "limit", ""), rows, right=("KL", "limit"))
    failed = {check.name for check in report.checks if not check.ok}
    if not failed:
        out.print("cached answers are what cold ones are")
    if failed - {SPLICED}:
        out.print(escape(_ADVICE), soft_wrap=True)
    if SPLICED in failed:
        out.print(escape(_ADVICE_SPLICES), soft_wrap=True)
