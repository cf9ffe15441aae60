"""What the unit tests of a session share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.sessions import FILES, write_files


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return write_files(tmp_path / "shop", FILES)


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test writes into the state directory of whoever runs it."""
    monkeypatch.setattr("gemma_lsp.server.dismissals.platformdirs.user_state_dir", lambda *a, **k: tmp_path / "state")


@pytest.fixture
def calm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is reviewed, and the machine is on mains."""
    monkeypatch.setattr("gemma_lsp.server.reviews.QUIET_S", 3600.0)
    monkeypatch.setattr("gemma_lsp.server.reviews.on_battery", lambda: False)


@pytest.fixture
def reviews(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reviews begin at once, and the machine is on mains."""
    monkeypatch.setattr("gemma_lsp.server.reviews.on_battery", lambda: False)
    monkeypatch.setattr("gemma_lsp.server.reviews.QUIET_S", 0.0)
