"""Whether findings are shown when the settings leave it open: as it was measured, else by the model's size."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gemma_lsp.models.trust import LEAST_PARAMETERS, Measured, judged, parameters_of, record
from tests.support.scripted import ScriptedEngine, scripted_model
from tests.support.sessions import open_file, quiet, started_in
from tests.unit.gguf_files import Gguf
from tests.unit.test_server_privacy import answers

PULLS = {"diagnostic": {}}


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model's file of 32 weights, and a state directory of our own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr("gemma_lsp.models.trust.records_file", lambda: tmp_path / "state" / "reviews.json")
    return Gguf().write(tmp_path / "small.gguf")


async def items(shop: Path, model: Path, **settings: Any) -> list[dict[str, Any]]:
    engine = ScriptedEngine(answers, model=replace(scripted_model("chat"), path=str(model)))
    async with quiet(engine) as client:
        await started_in(client, shop, {"diagnostics": settings}, textDocument=PULLS)
        uri = open_file(client, shop / "shop/rates.py")
        report = await client.result("textDocument/diagnostic", {"textDocument": {"uri": uri}})
        found: list[dict[str, Any]] = report["items"]
        return found


async def test_a_small_model_says_nothing_unless_it_is_told_to(shop: Path, model: Path) -> None:
    """`on` is stronger than what is known of it."""
    assert await items(shop, model) == []
    assert len(await items(shop, model, enabled="on")) == 1


async def test_what_was_measured_counts_more_than_the_size(shop: Path, model: Path) -> None:
    """From the confidence on at which it was right often enough: the finding here says 90."""
    record(model, Measured(threshold=90, precision=0.6, recall=0.2))
    assert len(await items(shop, model)) == 1
    record(model, Measured(threshold=95, precision=0.6, recall=0.2))
    assert await items(shop, model) == []
    record(model, Measured(threshold=None, precision=0.2, recall=0.2))
    assert await items(shop, model) == []


def test_the_verdict_says_why() -> None:
    """A large model that nobody measured is believed; a small one is not."""
    assert judged(None, LEAST_PARAMETERS).reviews
    assert not judged(None, LEAST_PARAMETERS - 1).reviews
    assert "bench review" in judged(None, LEAST_PARAMETERS).why
    assert judged(Measured(threshold=None, precision=0.2, recall=0.1), 10).small


def test_parameters_are_counted_in_every_part(tmp_path: Path) -> None:
    """A split model's weights stand in several files."""
    for number in (1, 2):
        Gguf().write(tmp_path / f"m-0000{number}-of-00002.gguf")
    assert parameters_of(tmp_path / "m-00001-of-00002.gguf") == 64
    assert parameters_of(Gguf().write(tmp_path / "m.gguf")) == 32
