"""Findings over the wire: their fixes, their dismissal, the battery; and hover."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.acting import ANNOTATES, FIXED, RESOLVES, chat, command
from tests.support.raw_client import RawClient
from tests.support.sessions import between, open_file, quiet, started_in

CLAIM = {"quote": "return weight * 3", "what": "the surcharge is missing", "why": "", "severity": "error"}
FINDING = json.dumps({"findings": [{**CLAIM, "confidence": 90}]})
NOTHING = json.dumps({"findings": []})
PULL: dict[str, Any] = {
    "diagnostic": {"relatedInformation": True, "codeDescriptionSupport": True},
    "publishDiagnostics": {"relatedInformation": True, "codeDescriptionSupport": True},
}


async def pulled(client: RawClient, uri: str) -> list[dict[str, Any]]:
    report = await client.result("textDocument/diagnostic", {"textDocument": {"uri": uri}})
    return list(report["items"])


async def at_finding(client: RawClient, uri: str, found: dict[str, Any]) -> dict[str, Any]:
    context = {"diagnostics": [found], "only": ["quickfix"]}
    params = {"textDocument": {"uri": uri}, "range": found["range"], "context": context}
    return {action["title"]: action for action in await client.result("textDocument/codeAction", params)}


@pytest.mark.usefixtures("reviews")
async def test_a_finding_comes_with_its_fix(shop: Path) -> None:
    """A link to what it means, who calls the definition, and the edit that confirmed it."""
    engine = chat(FINDING, FIXED)
    async with quiet(engine) as client:
        await started_in(client, shop, textDocument={**RESOLVES, **PULL}, workspace=ANNOTATES)
        uri = open_file(client, shop / "shop/rates.py")
        (found,) = await pulled(client, uri)
        assert found["codeDescription"]["href"].endswith("docs/diagnostics.md#possible-bug")
        (related,) = found["relatedInformation"]
        assert related["location"] == {"uri": (shop / "shop/cart.py").as_uri(), "range": between((4, 15), (4, 19))}
        titles = await at_finding(client, uri, found)
        fix = titles["Fix: the surcharge is missing"]
        assert fix["edit"]["documentChanges"][0]["edits"][0]["newText"] == "    return weight * 4\n"
        assert await client.result("codeAction/resolve", fix) == fix
        assert len(engine.asked) == 2


@pytest.mark.usefixtures("reviews")
@pytest.mark.parametrize(("line", "offered"), [(1, True), (0, False)])
async def test_a_finding_is_fixed_from_anywhere_on_its_line(shop: Path, line: int, offered: bool) -> None:
    """Also where the editor only looks whether there is something, and names no diagnostic."""
    async with quiet(chat(FINDING, FIXED)) as client:
        await started_in(client, shop, textDocument={**RESOLVES, **PULL}, workspace=ANNOTATES)
        uri = open_file(client, shop / "shop/rates.py")
        await pulled(client, uri)
        place = {"start": {"line": line, "character": 0}, "end": {"line": line, "character": 0}}
        params = {"textDocument": {"uri": uri}, "range": place, "context": {"diagnostics": [], "triggerKind": 2}}
        titles = [action["title"] for action in await client.result("textDocument/codeAction", params)]
        assert ("Fix: the surcharge is missing" in titles) is offered
        assert ("Do not show this finding again" in titles) is offered


@pytest.mark.usefixtures("reviews")
async def test_a_dismissed_finding_stays_away(shop: Path, tmp_path: Path) -> None:
    """In this session and in the next one; the file is the user's alone."""
    async with quiet(chat(FINDING, FIXED)) as client:
        await started_in(client, shop, textDocument=PULL, workspace={"diagnostics": {"refreshSupport": True}})
        uri = open_file(client, shop / "shop/rates.py")
        (found,) = await pulled(client, uri)
        dismiss = (await at_finding(client, uri, found))["Do not show this finding again"]["command"]
        assert dismiss["arguments"] == [{"uri": uri, "digest": found["data"]["digest"]}]
        await client.result("workspace/executeCommand", dismiss)
        await client.notification("workspace/diagnostic/refresh")
        assert await pulled(client, uri) == []
        wrong = await client.ask("workspace/executeCommand", command("dismiss", uri=uri, digest="x"))
        assert wrong["error"]["code"] == -32602
    written = tmp_path / "state/dismissed"
    assert written.read_text() == f"{found['data']['digest']}\n"
    assert written.stat().st_mode & 0o777 == 0o600
    engine = chat(FINDING, FIXED)
    async with quiet(engine) as client:
        await started_in(client, shop, textDocument=PULL)
        assert await pulled(client, open_file(client, shop / "shop/rates.py")) == []
        assert len(engine.asked) == 1


@pytest.mark.usefixtures("reviews")
async def test_a_damaged_state_file_is_an_empty_one(shop: Path, tmp_path: Path) -> None:
    """And a state directory that cannot be written to holds nothing back."""
    (tmp_path / "state").write_bytes(b"\xff\x00 not a folder")
    async with quiet(chat(FINDING, FIXED)) as client:
        await started_in(client, shop, textDocument=PULL)
        uri = open_file(client, shop / "shop/rates.py")
        (found,) = await pulled(client, uri)
        await client.result("workspace/executeCommand", command("dismiss", uri=uri, digest=found["data"]["digest"]))
        assert await pulled(client, uri) == []


@pytest.mark.parametrize(("setting", "asked"), [(False, 0), (True, 2)])
@pytest.mark.usefixtures("reviews")
async def test_on_its_battery_the_machine_is_left_alone(
    shop: Path, monkeypatch: pytest.MonkeyPatch, setting: bool, asked: int
) -> None:
    """Unless the user wants otherwise."""
    monkeypatch.setattr("gemma_lsp.server.reviews.on_battery", lambda: True)
    engine = chat(FINDING, FIXED)
    async with quiet(engine) as client:
        await started_in(client, shop, {"diagnostics": {"on_battery": setting}}, textDocument=PULL)
        await pulled(client, open_file(client, shop / "shop/rates.py"))
        assert len(engine.asked) == asked


@pytest.mark.usefixtures("calm")
async def test_hover_is_off_until_it_is_wanted(shop: Path) -> None:
    """Then a paragraph about the symbol, with its word's range; registered where the client offers that."""
    engine = chat("It gives the price.")
    async with quiet(engine) as client:
        dynamic = {"hover": {"dynamicRegistration": True}}
        result = await started_in(client, shop, textDocument=dynamic)
        assert "hoverProvider" not in result["capabilities"]
        uri = open_file(client, shop / "shop/cart.py")
        place = {"textDocument": {"uri": uri}, "position": {"line": 4, "character": 16}}
        assert await client.result("textDocument/hover", place) is None
        client.notify("workspace/didChangeConfiguration", {"settings": {"hover": {"enabled": True}}})
        registered = await client.notification("client/registerCapability")
        assert [r["method"] for r in registered["registrations"]] == ["textDocument/hover"]
        told = await client.result("textDocument/hover", place)
        assert told["contents"]["value"].startswith("It gives the price.")
        assert told["range"] == between((4, 15), (4, 19))
        assert await client.result("textDocument/hover", place) == told
        assert len(engine.asked) == 1
