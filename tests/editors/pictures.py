"""What a screen showed, kept as text and as a picture under `build/editors`."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

FOLDER = Path(__file__).parents[2] / "build" / "editors"

_SVG = """<svg viewBox="0 0 {terminal_width} {terminal_height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, monospace; font-size: {char_height}px;
 line-height: {line_height}px; white-space: pre }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
<rect width="{terminal_width}" height="{terminal_height}" rx="6" fill="#14161b" />
<g clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def keep(name: str, lines: list[Text]) -> None:
    """Writes `name`.txt and `name`.svg; `name` may hold a folder."""
    path = FOLDER / name
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = "\n".join(line.plain.rstrip() for line in lines)
    path.with_name(path.name + ".txt").write_text(plain.rstrip() + "\n", encoding="utf-8")
    width = max(line.cell_len for line in lines)
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for line in lines:
        console.print(line, no_wrap=True, overflow="crop", crop=True)
    svg = console.export_svg(title="", theme=MONOKAI, code_format=_SVG, unique_id="s")
    path.with_name(path.name + ".svg").write_text(svg, encoding="utf-8")
