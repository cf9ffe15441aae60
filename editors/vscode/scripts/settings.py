"""The settings in package.json, generated from the server's schema.

`python scripts/settings.py` (with gemma_lsp importable) rewrites them; a test fails when they drift.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gemma_lsp.config.catalog import catalog, sections
from gemma_lsp.config.render import editor_properties

MANIFEST = Path(__file__).parents[1] / "package.json"

_OWN = {
    "gemma-lsp.server.path": {
        "type": "string",
        "default": "",
        "scope": "machine",
        "markdownDescription": "The `gemma-lsp` executable. Empty: the one of the selected Python environment, then "
        "of `.venv` in the folder, then the one on PATH.",
    },
    "gemma-lsp.trace.server": {
        "enum": ["messages", "verbose"],
        "default": "messages",
        "scope": "window",
        "markdownDescription": "What is written of the messages between VS Code and the server while the log level of "
        "the output channel is Trace (*gemma-lsp: Show the Log*, then the gear).",
    },
}
"""What the client needs, and the server does not know."""


def configuration() -> list[dict[str, Any]]:
    """`contributes.configuration`: one block for each section, with ours first."""
    properties = editor_properties()
    blocks = [{"title": "Client", "properties": _OWN}]
    for section in sections():
        names = [name for name, info in catalog().items() if info.section == section]
        described = {f"gemma-lsp.{name}": _property(properties[f"gemma-lsp.{name}"], name) for name in names}
        blocks.append({"title": section.capitalize(), "properties": described})
    return blocks


def rendered(text: str) -> str:
    """The manifest with the settings of today."""
    manifest = json.loads(text)
    manifest["contributes"]["configuration"] = configuration()
    return json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"


def _property(schema: dict[str, Any], name: str) -> dict[str, Any]:
    """What a repository may not set, a folder's settings may not set either: VS Code calls that scope machine."""
    made = {key: value for key, value in schema.items() if key != "description"}
    scope = "window" if catalog()[name].from_repository else "machine"
    return {**made, "scope": scope, "markdownDescription": schema["description"]}


if __name__ == "__main__":
    MANIFEST.write_text(rendered(MANIFEST.read_text(encoding="utf-8")), encoding="utf-8")
