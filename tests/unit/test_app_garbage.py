"""Full collections wait until nobody types."""

from __future__ import annotations

import asyncio
import gc

import pytest

from gemma_lsp.app.garbage import QUIET_S, Sweeper, defer_full_collections


@pytest.mark.asyncio
async def test_a_sweep_waits_for_quiet_and_happens_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cycles that outlived the young generations are gone after it."""
    now, swept = [100.0], list[None]()
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now[0])
    monkeypatch.setattr(gc, "collect", lambda: swept.append(None))
    sweeper = Sweeper()
    assert not sweeper.sweep()
    sweeper.touched()
    assert not sweeper.sweep()
    now[0] += QUIET_S
    assert sweeper.sweep()
    assert not sweeper.sweep()
    assert len(swept) == 1


def test_young_objects_are_collected_as_before() -> None:
    """Only the full collection is put off."""
    before = gc.get_threshold()
    try:
        defer_full_collections()
        assert gc.get_threshold()[:2] == before[:2]
        assert gc.get_threshold()[2] > 1_000
    finally:
        gc.set_threshold(*before)
