"""Panels side by side as an SVG. Needs matplotlib, which only the extra `bench` brings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from gemma_lsp.base.errors import GemmaLspError

INSTALL = "pip install 'matplotlib>=3.10'"

Panel = Callable[[Any], None]
"""Draws on one of matplotlib's `Axes`."""


def save(panels: Sequence[Panel], title: str, path: Path) -> None:
    """Writes the file. Raises `GemmaLspError` where matplotlib is not installed or the file cannot be written."""
    try:
        matplotlib = import_module("matplotlib")
        figure_class = import_module("matplotlib.figure").Figure
    except ImportError:
        raise GemmaLspError(f"a plot needs matplotlib; run {INSTALL}, or leave --plot out") from None
    figure = figure_class(figsize=(7.0 * max(1, len(panels)), 4.2), layout="constrained")
    for at, draw in enumerate(panels, 1):
        draw(figure.add_subplot(1, len(panels), at))
    figure.suptitle(title, fontsize=10)
    try:
        with matplotlib.rc_context({"svg.hashsalt": "gemma-lsp"}):
            figure.savefig(path, format="svg", metadata={"Date": None})
    except OSError as error:
        raise GemmaLspError(f"the plot cannot be written to {path}: {error.strerror}; choose another --plot") from error
