"""`gemma-lsp cache`: what is on disk is listed, and goes when told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gemma_lsp.cli.cache import app
from gemma_lsp.engine.snapshots import SnapshotStore
from gemma_lsp.kv.ledger import Ledger


@pytest.fixture(autouse=True)
def two_snapshots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMMA_LSP_SNAPSHOT_DIR", str(tmp_path))
    for workspace in ("/one", "/two"):
        ledger = Ledger(0)
        ledger.append("k", "body", list(range(300)))
        assert SnapshotStore(tmp_path, "me", 1 << 20).save(workspace, ledger, b"state")


def test_snapshots_are_listed(tmp_path: Path) -> None:
    """Workspace, tokens and bytes of each, of whatever model."""
    listed = json.loads(CliRunner().invoke(app, ["list", "--json"]).stdout)
    assert {(entry["workspace"], entry["tokens"]) for entry in listed} == {("/one", 300), ("/two", 300)}
    assert "2 snapshot(s)" in CliRunner().invoke(app, ["list"]).stdout


def test_one_workspace_can_be_cleared(tmp_path: Path) -> None:
    """The other's stays."""
    assert CliRunner().invoke(app, ["clear", "/one"]).exit_code == 0
    assert [e["workspace"] for e in json.loads(CliRunner().invoke(app, ["list", "--json"]).stdout)] == ["/two"]


def test_all_can_be_cleared(tmp_path: Path) -> None:
    """Nothing stays."""
    CliRunner().invoke(app, ["clear"])
    assert list(tmp_path.glob("*.kv")) == []
