"""Diagnostics over the wire: pulled, pushed, switched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.scripted import Asked, ScriptedEngine, scripted_model
from tests.support.sessions import (
    FILES,
    between,
    open_file,
    quiet,
    replace_text,
    started_in,
)

pytestmark = pytest.mark.usefixtures("reviews")


CLAIM = {"quote": "return weight * 3", "what": "the surcharge is missing", "why": "", "severity": "error"}
FINDING = json.dumps({"findings": [{**CLAIM, "confidence": 90}]})
CORRECTED = "weight):\n    return weight * 3 + 1\n```"
PULL = {"diagnostic": {}}


async def test_diagnostics_are_pulled(shop: Path) -> None:
    """A full report once, then unchanged; after an edit the range has moved and the model is not asked again."""
    engine = ScriptedEngine(FINDING, CORRECTED, model=scripted_model("chat"))
    async with quiet(engine) as client:
        result = await started_in(client, shop, textDocument=PULL)
        assert result["capabilities"]["diagnosticProvider"]["workspaceDiagnostics"] is True
        uri = open_file(client, shop / "shop/rates.py")
        params = {"textDocument": {"uri": uri}}
        full = await client.result("textDocument/diagnostic", params)
        assert full["kind"] == "full"
        (found,) = full["items"]
        assert found["range"] == between((1, 4), (1, 21))
        assert (found["message"], found["severity"], found["source"]) == ("the surcharge is missing", 3, "gemma-lsp")
        again = await client.result("textDocument/diagnostic", {**params, "previousResultId": full["resultId"]})
        assert again == {"kind": "unchanged", "resultId": full["resultId"]}
        asked = len(engine.asked)
        replace_text(client, uri, "\n\n" + FILES["shop/rates.py"])
        moved = await client.result("textDocument/diagnostic", {**params, "previousResultId": full["resultId"]})
        assert moved["items"][0]["range"] == between((3, 4), (3, 21))
        assert len(engine.asked) == asked
        assert client.received("textDocument/publishDiagnostics") == []


async def test_diagnostics_are_pushed_where_nobody_pulls(shop: Path) -> None:
    """After opening, with the version; they move with the text and go with the document."""
    async with quiet(ScriptedEngine(FINDING, CORRECTED, model=scripted_model("chat"))) as client:
        result = await started_in(client, shop)
        assert "diagnosticProvider" not in result["capabilities"]
        uri = open_file(client, shop / "shop/rates.py")
        first = await client.notification("textDocument/publishDiagnostics")
        assert (first["uri"], first["version"], len(first["diagnostics"])) == (uri, 1, 1)
        replace_text(client, uri, "\n" + FILES["shop/rates.py"])
        moved = await client.notification("textDocument/publishDiagnostics", lambda p: p.get("version") == 2)
        assert moved["diagnostics"][0]["range"]["start"]["line"] == 2
        client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
        await client.notification("textDocument/publishDiagnostics", lambda p: p["diagnostics"] == [])


async def test_of_several_pulls_the_last_is_answered(shop: Path) -> None:
    """The older one is told not to come again."""

    def by_pass(asked: Asked) -> str:
        """The older one may have asked already, or not."""
        return FINDING if asked.options.sampling.grammar else CORRECTED

    async with quiet(ScriptedEngine(by_pass, model=scripted_model("chat"))) as client:
        await started_in(client, shop, textDocument=PULL)
        uri = open_file(client, shop / "shop/rates.py")
        older = client.begin("textDocument/diagnostic", {"textDocument": {"uri": uri}})
        newer = client.begin("textDocument/diagnostic", {"textDocument": {"uri": uri}})
        assert len((await client.answer(newer))["result"]["items"]) == 1
        error = (await client.answer(older))["error"]
        assert (error["code"], error["data"]) == (-32802, {"retriggerRequest": False})


@pytest.mark.parametrize(("kind", "switch", "asks"), [("base", "auto", 0), ("base", "on", 1), ("chat", "off", 0)])
async def test_who_reviews(shop: Path, kind: str, switch: str, asks: int) -> None:
    """By itself only a model that follows instructions; a setting decides otherwise."""
    engine = ScriptedEngine("none", model=scripted_model(kind))
    async with quiet(engine) as client:
        await started_in(client, shop, {"diagnostics": {"enabled": switch}}, textDocument=PULL)
        uri = open_file(client, shop / "shop/rates.py")
        report = await client.result("textDocument/diagnostic", {"textDocument": {"uri": uri}})
        assert report["items"] == []
        assert len(engine.asked) == asks
