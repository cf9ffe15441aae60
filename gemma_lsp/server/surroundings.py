"""What the machine and the installation are like, as far as findings depend on it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import psutil

import gemma_lsp

_DOCUMENT = "docs/diagnostics.md"


def on_battery() -> bool:
    """Whether the machine runs on its battery; one that has none, or does not say, does not."""
    sensors = getattr(psutil, "sensors_battery", None)  # not on every platform
    battery = sensors() if sensors is not None else None
    return battery is not None and battery.power_plugged is False


@cache
def documentation(code: str) -> str | None:
    """Where a diagnostic's code is explained, in the installation or in a clone; None where neither has it."""
    package = Path(gemma_lsp.__file__).resolve().parent
    for folder in (package, package.parent):
        if (folder / _DOCUMENT).is_file():
            return f"{(folder / _DOCUMENT).as_uri()}#{code}"
    return None
