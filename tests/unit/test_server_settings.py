"""Settings and registrations over the wire."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gemma_lsp.config.schema import Settings
from gemma_lsp.engine.client import EngineClient
from tests.support.raw_client import Refuse, served
from tests.support.scripted import ScriptedEngine
from tests.support.sessions import (
    inline_at,
    open_file,
    quiet,
    ready,
    started_in,
)

pytestmark = pytest.mark.usefixtures("reviews")
CART_END = "def total(items):\n    return "


async def test_a_wrong_setting_is_named_once(shop: Path) -> None:
    """And everything else works; the repository may not choose a model."""
    (shop / "pyproject.toml").write_text('[tool.gemma-lsp.model]\npath = "/evil.gguf"\n')
    async with quiet() as client:
        options = {"completion": {"max_tokens": "many"}, "colour": "blue"}
        await started_in(client, shop, options)
        client.notify("workspace/didChangeConfiguration", {"settings": None})
        await client.result("gemma-lsp/status")
        told = [m["message"] for m in client.received("window/showMessage")]
        assert len(told) == len(set(told)) == 3
        for name in ("completion.max_tokens", "colour", "model.path"):
            assert any(message.startswith(f"gemma-lsp: {name}: ") for message in told)


async def test_settings_are_asked_of_the_client(shop: Path) -> None:
    """At the start and when they change; the engine is exchanged only if its own settings differ."""
    made: list[str] = []

    async def make(settings: Settings) -> EngineClient:
        made.append(settings.model.path)
        return ScriptedEngine("items")

    values: list[dict[str, Any]] = [{"model": {"path": "a.gguf"}}]
    async with served(make) as client:
        client.answerers["workspace/configuration"] = lambda params: values
        workspace = {"configuration": True, "didChangeConfiguration": {"dynamicRegistration": True}}
        await started_in(client, shop, workspace=workspace)
        registered = await client.notification("client/registerCapability")
        assert [r["method"] for r in registered["registrations"]] == ["workspace/didChangeConfiguration"]
        assert made == ["a.gguf"]
        values[0] = {"model": {"path": "a.gguf"}, "completion": {"enabled": False}}
        client.notify("workspace/didChangeConfiguration", {"settings": None})
        uri = open_file(client, shop / "shop/cart.py", CART_END)
        async with asyncio.timeout(20):
            while await client.result("textDocument/inlineCompletion", inline_at(uri, 1, 11)) != {"items": []}:
                await asyncio.sleep(0.01)
        values[0] = {"model": {"path": "b.gguf"}}
        client.notify("workspace/didChangeConfiguration", {"settings": None})
        async with asyncio.timeout(20):
            while made != ["a.gguf", "b.gguf"]:
                await asyncio.sleep(0.01)
        await ready(client)


async def test_settings_that_are_pushed_count_where_nobody_can_be_asked(shop: Path) -> None:
    """Under the section's name or without it."""
    async with quiet() as client:
        await started_in(client, shop, textDocument={"inlineCompletion": {}})
        wrong = {"gemma-lsp": {"completion": {"max_tokens": 0}}}
        client.notify("workspace/didChangeConfiguration", {"settings": wrong})
        warning = await client.notification("window/showMessage")
        assert "completion.max_tokens" in warning["message"]


async def test_registrations_follow_the_settings(shop: Path) -> None:
    """Inline completion is registered for a client that wants to be told, and taken back when switched off."""
    async with quiet() as client:
        capabilities = {"inlineCompletion": {"dynamicRegistration": True}}
        result = await started_in(client, shop, textDocument=capabilities)
        assert "inlineCompletionProvider" not in result["capabilities"]
        registered = await client.notification("client/registerCapability")
        assert [r["method"] for r in registered["registrations"]] == ["textDocument/inlineCompletion"]
        client.notify("workspace/didChangeConfiguration", {"settings": {"completion": {"enabled": False}}})
        taken = await client.notification("client/unregisterCapability")
        assert [r["method"] for r in taken["unregisterations"]] == ["textDocument/inlineCompletion"]


async def test_a_client_that_refuses_what_it_offered(shop: Path) -> None:
    """Registration, configuration and progress are refused: the session goes on without."""

    def refuse(params: Any) -> Any:
        raise Refuse(-32603)

    async with quiet() as client:
        for method in ("client/registerCapability", "workspace/configuration", "window/workDoneProgress/create"):
            client.answerers[method] = refuse
        workspace = {"configuration": True, "didChangeWatchedFiles": {"dynamicRegistration": True}}
        await started_in(client, shop, workspace=workspace, window={"workDoneProgress": True})
        assert client.received("$/progress") == []
        assert client.received("window/showMessage") == []
