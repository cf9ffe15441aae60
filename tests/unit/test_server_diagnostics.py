"""Diagnostics over the wire: pulled, pushed, switched."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gemma_lsp.base.errors import ModelTooLarge
from gemma_lsp.config.schema import Settings
from gemma_lsp.engine.client import EngineClient
from gemma_lsp.engine.messages import Finished, ModelInfo, Progress
from gemma_lsp.prompt.segments import Prompt
from tests.support.raw_client import RawClient, served
from tests.support.scripted import Asked, ScriptedEngine, scripted_model
from tests.support.sessions import (
    FILES,
    between,
    initialized_in,
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


class SlowReading(ScriptedEngine):
    """Reads a repository for as long as the test says."""

    def __init__(self, *answers: str, model: ModelInfo) -> None:
        super().__init__(*answers, model=model)
        self.reading, self.may_end = asyncio.Event(), asyncio.Event()

    async def warm(
        self, workspace: str, prompt: Prompt, on_progress: Callable[[Progress], None], *, moves: bool = False
    ) -> Finished:
        self.reading.set()
        await self.may_end.wait()
        return await super().warm(workspace, prompt, on_progress, moves=moves)


async def pulled_early(client: RawClient, engine: SlowReading, shop: Path) -> int:
    """A pull that is sent before the repository is read; its id, once the reading has begun."""
    await initialized_in(client, shop, textDocument=PULL)
    uri = open_file(client, shop / "shop/rates.py")
    pull = client.begin("textDocument/diagnostic", {"textDocument": {"uri": uri}})
    async with asyncio.timeout(20):
        await engine.reading.wait()
    return pull


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


async def test_the_repository_is_read_before_it_is_reviewed(shop: Path) -> None:
    """A pull that comes first waits for it, and is answered with it in the prompt; closing the folder ends the wait."""
    engine = SlowReading(FINDING, CORRECTED, model=scripted_model("chat"))
    async with quiet(engine) as client:
        pull = await pulled_early(client, engine, shop)
        await client.result("gemma-lsp/status")
        assert engine.asked == []
        engine.may_end.set()
        assert len((await client.answer(pull))["result"]["items"]) == 1
        assert any("def total" in segment.text for segment in engine.asked[0].prompt)


async def test_a_folder_that_is_closed_is_not_waited_for(shop: Path) -> None:
    """The pull is answered, though its repository will never have been read."""
    engine = SlowReading(FINDING, model=scripted_model("chat"))
    async with quiet(engine) as client:
        pull = await pulled_early(client, engine, shop)
        folder = {"uri": shop.as_uri(), "name": shop.name}
        client.notify("workspace/didChangeWorkspaceFolders", {"event": {"added": [], "removed": [folder]}})
        engine.may_end.set()
        assert "result" in await client.answer(pull)


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


async def test_a_key_after_saving_does_not_put_off_the_review(shop: Path) -> None:
    """Also where a finding is shown, which moves with the text meanwhile."""
    engine = ScriptedEngine(FINDING, CORRECTED, model=scripted_model("chat"))
    async with quiet(engine) as client:
        await started_in(client, shop)
        uri = open_file(client, shop / "shop/rates.py")
        await client.notification("textDocument/publishDiagnostics")
        asked = len(engine.asked)
        more = FILES["shop/rates.py"] + "\n\ndef fresh(weight):\n    return weight - 3\n"
        replace_text(client, uri, more)
        await client.notification("textDocument/publishDiagnostics", lambda p: p.get("version") == 2)
        assert len(engine.asked) == asked
        client.notify("textDocument/didSave", {"textDocument": {"uri": uri}})
        replace_text(client, uri, "\n" + more, 3)
        moved = await client.notification("textDocument/publishDiagnostics", lambda p: p.get("version") == 3)
        assert moved["diagnostics"][0]["range"]["start"]["line"] == 2
        async with asyncio.timeout(20):
            while not any("def fresh" in a.text for a in engine.asked[asked:]):
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("switch", ["off", "auto"])
async def test_a_model_that_cannot_be_loaded_is_not_loaded_for_a_review(shop: Path, switch: str) -> None:
    """Each try may take half a minute and all of the memory: a person has to ask for it."""
    tries = 0

    async def make(settings: Settings) -> EngineClient:
        nonlocal tries
        tries += 1
        raise ModelTooLarge("no memory; choose a smaller one")

    async with served(make) as client:
        await initialized_in(client, shop, {"diagnostics": {"enabled": switch}}, textDocument=PULL)
        uri = open_file(client, shop / "shop/rates.py")
        for _ in range(3):
            report = await client.result("textDocument/diagnostic", {"textDocument": {"uri": uri}})
            assert report["items"] == []
        async with asyncio.timeout(20):
            while (await client.result("gemma-lsp/status"))["workspaces"][0]["state"] != "failed":
                await asyncio.sleep(0.01)
        assert (await client.result("textDocument/diagnostic", {"textDocument": {"uri": uri}}))["items"] == []
        assert tries == 1


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
