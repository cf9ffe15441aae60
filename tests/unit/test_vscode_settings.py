"""The settings of the VS Code extension follow the server's schema."""

from __future__ import annotations

import runpy
from pathlib import Path

VSCODE = Path(__file__).parents[2] / "editors" / "vscode"


def test_the_manifest_has_the_settings_of_the_schema() -> None:
    """After a change of the schema: `python editors/vscode/scripts/settings.py`."""
    rendered = runpy.run_path(str(VSCODE / "scripts" / "settings.py"))["rendered"]
    manifest = (VSCODE / "package.json").read_text(encoding="utf-8")
    assert rendered(manifest) == manifest
