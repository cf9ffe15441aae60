"""The real server and the real model for the end-to-end tests: one engine for all of them, in folders of their own.

`GEMMA_LSP_MODEL` chooses another model than the default one.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from gemma_lsp.models.default_model import default_model

ROOT = Path(__file__).parents[2]
FOLDER = Path(tempfile.mkdtemp(prefix="gl-"))  # short: a socket's path may have 107 bytes
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
PARCELS = FOLDER / "parcels"
shutil.copytree(ROOT / "fixtures" / "parcels", PARCELS)

RECORDS = FOLDER / "traffic"
RECORDS.mkdir()
SERVE = [sys.executable, "-m", "gemma_lsp", "serve"]
COMMAND = [sys.executable, str(ROOT / "tests" / "support" / "tee.py"), str(RECORDS), "--", *SERVE]
"""The server; what it and its client say to each other is kept and checked after each test (tests/conftest.py)."""
LIMIT_S = 300.0  # for what takes seconds: this machine may be busy

OPTIONS: dict[str, Any] = {
    "model": {"n_ctx": 8192},
    "index": {"budget_tokens": 1200},
    "completion": {"debounce_ms": 0, "deadline_ms": 120_000, "max_tokens": 24, "candidates": 1, "prefetch": False},
    "explain": {"max_tokens": 40, "thinking_tokens": 0},
    "diagnostics": {"enabled": "on"},
}
"""Small, because the default model reads 250 tokens a second on two cores; and no answer is cut short by a clock."""


def environment() -> dict[str, str]:
    """The server's environment. The engine ends soon after the last test."""
    ours = {
        "PYTHONPATH": str(ROOT),
        "GEMMA_LSP_RUNTIME_DIR": str(FOLDER / "run"),
        "GEMMA_LSP_SNAPSHOT_DIR": str(FOLDER / "snapshots"),
        "GEMMA_LSP_ENGINE_IDLE_S": "10",
        "GEMMA_LSP_MODEL": os.environ.get("GEMMA_LSP_MODEL") or str(default_model()),
        "XDG_CONFIG_HOME": str(FOLDER / "config"),
        "XDG_STATE_HOME": str(FOLDER / "state"),
    }
    return {**os.environ, **ours}
