"""What an edit costs by the prompt's length, as a picture: one line for each side and place."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from gemma_lsp.bench.edits.types import OURS, Edits, EditSum
from gemma_lsp.bench.llama_server import THEIRS, THEIRS_BEST
from gemma_lsp.bench.plotting import save

_COLOURS = {OURS: "#1b7837", THEIRS: "#999999", THEIRS_BEST: "#d95f02"}
_STYLES = {"10%": "o-", "50%": "s--", "90%": "^:"}


def write_plot(found: Edits, path: Path) -> None:
    """Writes an SVG. Raises `GemmaLspError` where matplotlib is not installed or the file cannot be written."""
    sums = [s for s in found.sums() if s.what in _STYLES]
    tokens = partial(_panel, sums, "beyond", "tokens evaluated beyond the request's own tail")
    times = partial(_panel, sums, "ms", "ms to the first token")
    about = found.about
    save((tokens, times), f"one line edited: {about['repo']}, {about['model']}, {about['threads']} threads", path)


def _panel(sums: list[EditSum], field: str, label: str, axes: Any) -> None:
    for arm, colour in _COLOURS.items():
        for what, style in _STYLES.items():
            line = sorted((s.prompt, getattr(s, field)) for s in sums if (s.arm, s.what) == (arm, what))
            if line:
                axes.plot(*zip(*line, strict=True), style, ms=4, color=colour, label=f"{arm}, edit at {what}")
    axes.set(yscale="log", xlabel="tokens of the prompt", ylabel=label)
    axes.legend(fontsize=7)
