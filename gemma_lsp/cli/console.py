"""Where commands write: answers to stdout, progress and complaints to stderr. Colours only on a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

_PLAIN_WIDTH = 160  # not a terminal: a log or a pipe, where a cut-off line helps nobody


def stdout() -> Console:
    """For answers."""
    return _console(sys.stdout)


def stderr() -> Console:
    """For progress and what went wrong."""
    return _console(sys.stderr)


def print_json(data: Any) -> None:
    """One JSON document on stdout."""
    print(json.dumps(data, indent=2, ensure_ascii=False))


def print_table(
    console: Console, headings: Sequence[str], rows: Sequence[Sequence[object]], right: Collection[str] = ()
) -> None:
    """Rows under headings; the columns named in `right` are numbers and stand to the right."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(f"{cell:,}" if isinstance(cell, int) else escape(str(cell)) for cell in row))
    console.print(table)


def size(n_bytes: int) -> str:
    """Bytes for people, in powers of 1000 as file managers show them."""
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:,.0f} MB"


def _console(file: Any) -> Console:
    return Console(file=file, width=None if file.isatty() else _PLAIN_WIDTH, highlight=False, soft_wrap=False)
