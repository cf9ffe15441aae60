"""Completions over the wire, with a scripted model."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.scripted import ScriptedEngine
from tests.support.sessions import (
    at,
    between,
    inline_at,
    open_file,
    quiet,
    replace_text,
    selection,
    started_in,
)

pytestmark = pytest.mark.usefixtures("reviews")
NO_DEBOUNCE = {"completion": {"debounce_ms": 0, "prefetch": False, "candidates": 1}}
CART_END = "def total(items):\n    return "


@pytest.mark.parametrize(("encoding", "character"), [("utf-8", 23), ("utf-16", 21), ("utf-32", 20)])
async def test_inline_completion_in_every_encoding(shop: Path, encoding: str, character: int) -> None:
    """The cursor stands behind an astral character; the range comes back in the same units."""
    engine = ScriptedEngine("items)")
    async with quiet(engine) as client:
        offered = {"positionEncodings": [encoding]}
        result = await started_in(client, shop, NO_DEBOUNCE, general=offered)
        assert result["capabilities"]["positionEncoding"] == encoding
        uri = open_file(client, shop / "shop/cart.py", 'name = "\U0001f40d"; x = len(')
        answer = await client.result("textDocument/inlineCompletion", inline_at(uri, 0, character))
        place = between((0, character), (0, character))
        assert answer["items"] == [{"insertText": "items)", "range": place}]
        assert engine.asked[-1].text.endswith('name = "\U0001f40d"; x = len(')


async def test_a_document_with_windows_line_ends(shop: Path) -> None:
    """The model never sees a carriage return, and lines keep their numbers."""
    engine = ScriptedEngine("weight")
    async with quiet(engine) as client:
        await started_in(client, shop, NO_DEBOUNCE)
        uri = open_file(client, shop / "shop/rates.py", "def rate(weight):\r\n    return 1\r\n")
        change = {"range": between((1, 11), (1, 12)), "text": ""}
        identifier = {"uri": uri, "version": 2}
        client.notify("textDocument/didChange", {"textDocument": identifier, "contentChanges": [change]})
        answer = await client.result("textDocument/inlineCompletion", inline_at(uri, 1, 11))
        assert [item["insertText"] for item in answer["items"]] == ["weight"]
        assert "\r" not in engine.asked[-1].text


async def test_typing_along_asks_the_model_once(shop: Path) -> None:
    """What is left of the suggestion is the answer while the user types it."""
    engine = ScriptedEngine("sum(items)")
    async with quiet(engine) as client:
        await started_in(client, shop, NO_DEBOUNCE)
        uri = open_file(client, shop / "shop/cart.py")
        replace_text(client, uri, CART_END)
        first = await client.result("textDocument/inlineCompletion", inline_at(uri, 1, 11, kind=2))
        replace_text(client, uri, CART_END + "sum", version=3)
        second = await client.result("textDocument/inlineCompletion", inline_at(uri, 1, 14, kind=2))
        assert [first["items"][0]["insertText"], second["items"][0]["insertText"]] == ["sum(items)", "(items)"]
        assert len(engine.asked) == 1


async def test_completion_for_a_client_without_inline_completion(shop: Path) -> None:
    """One item that replaces the typed word; the list is incomplete, so that typing asks again."""
    async with quiet(ScriptedEngine("m(items)")) as client:
        await started_in(client, shop, NO_DEBOUNCE)
        uri = open_file(client, shop / "shop/cart.py", CART_END + "su")
        answer = await client.result("textDocument/completion", at(uri, 1, 13))
        assert answer["isIncomplete"] is True
        item = answer["items"][0]
        assert (item["insertText"], item["filterText"], item["preselect"]) == ("sum(items)", "su", False)
        assert "textEdit" not in item


async def test_a_client_with_inline_completion_gets_none_of_it_twice(shop: Path) -> None:
    """While typing there are no items; asked for without having typed, there are."""
    engine = ScriptedEngine("sum(items)")
    async with quiet(engine) as client:
        await started_in(client, shop, NO_DEBOUNCE, textDocument={"inlineCompletion": {}})
        uri = open_file(client, shop / "shop/cart.py", CART_END)
        replace_text(client, uri, CART_END + "s")
        typed = await client.result("textDocument/completion", at(uri, 1, 12))
        assert typed == {"isIncomplete": False, "items": []}
        assert engine.asked == []
        await client.result("textDocument/inlineCompletion", inline_at(uri, 1, 12))
        asked_for = await client.result("textDocument/completion", at(uri, 1, 12))
        assert len(asked_for["items"]) == 1


async def test_nothing_to_complete_in_a_document_that_is_not_open(shop: Path) -> None:
    """The disk is not read behind the editor's back."""
    async with quiet() as client:
        await started_in(client, shop)
        uri = (shop / "shop/cart.py").as_uri()
        assert await client.result("textDocument/inlineCompletion", inline_at(uri, 0, 0)) is None
        assert (await client.result("textDocument/completion", at(uri, 0, 0)))["items"] == []
        assert await client.result("textDocument/codeAction", selection(uri)) is None
        replace_text(client, uri, "x = 1\n")
        client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
        assert await client.result("textDocument/inlineCompletion", inline_at(uri, 0, 0)) is None


async def test_a_secret_that_is_open_in_the_editor_reaches_no_prompt(shop: Path) -> None:
    """Neither by its name nor by what is typed into it."""
    engine = ScriptedEngine("x")
    async with quiet(engine) as client:
        await started_in(client, shop, NO_DEBOUNCE)
        hidden = open_file(client, shop / ".env", "PASSWORD=1")
        assert await client.result("textDocument/inlineCompletion", inline_at(hidden, 0, 0)) is None
        uri = open_file(client, shop / "shop/cart.py", CART_END)
        key = "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEpAIBAAKCAQEA" * 4 + "\n"
        replace_text(client, uri, f'KEY = """{key}"""\n')
        assert await client.result("textDocument/inlineCompletion", inline_at(uri, 0, 0)) is None
        other = open_file(client, shop / "shop/rates.py", "def rate(weight):\n    return ")
        await client.result("textDocument/inlineCompletion", inline_at(other, 1, 11))
        assert engine.asked
        assert not any("PRIVATE KEY" in asked.text or "PASSWORD" in asked.text for asked in engine.asked)
