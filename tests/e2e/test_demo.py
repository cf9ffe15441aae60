"""`gemma-lsp demo` from its first line to its exit code, with the real server, engine and model."""

from __future__ import annotations

import subprocess
import sys

from gemma_lsp.models.default_model import default_model
from tests.e2e.server import LIMIT_S, environment


def test_the_demo_shows_an_edit_elsewhere_reaching_a_completion() -> None:
    """Every step runs, the second completion follows the edit, and the table says what was reused and masked."""
    command = [sys.executable, "-m", "gemma_lsp", "demo", "--fast", "--model", str(default_model())]
    done = subprocess.run(command, capture_output=True, env=environment(), timeout=LIMIT_S, check=False)
    text = done.stdout.decode()
    assert done.returncode == 0, text + done.stderr.decode()
    assert "✗" not in text
    assert "reading parcels" in text
    before, _, after = text.partition("after the edit:")
    assert "settings.QUOTE_VALID_DAYS" in before
    assert "settings.QUOTE_LIFETIME_DAYS" in after
    assert "Gemma 4 12B" in text
    rows = {line[:16].strip(): line[16:].split() for line in text.splitlines()}
    assert rows["the repository"][0] == "0"
    reused, evaluated, masked = (int(cell.replace(",", "")) for cell in rows["after the edit"][:3])
    assert reused > evaluated > 0
    assert masked > 0
    assert rows["explain"]
    assert "tokens came from the disk" in text
    assert text.partition("the repository, again")[2]


def test_the_demo_fails_without_its_model() -> None:
    """Exit code 1 and one line."""
    command = [sys.executable, "-m", "gemma_lsp", "demo", "--model", "none.gguf"]
    done = subprocess.run(command, capture_output=True, env=environment(), timeout=LIMIT_S, check=False)
    assert done.returncode == 1
    assert b"none.gguf, which is not there" in done.stderr
    assert b"Traceback" not in done.stderr
