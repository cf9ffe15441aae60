"""A person types 200 characters into the real server with the real model: what it costs, and that nothing flickers.

The server counts (`gemma-lsp/status`, completions); times are not looked at, but for the person's own.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest_lsp
from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pytest_lsp import ClientServerConfig, LanguageClient

from tests.e2e.server import COMMAND, LIMIT_S, OPTIONS, PARCELS, environment
from tests.e2e.test_editor import begin, capabilities, until_ready

TYPED = """

def heaviest(parcels: list[Parcel]) -> Parcel:
    \"\"\"The parcel that weighs most.\"\"\"
    return max(parcels, key=lambda parcel: parcel.weight_kg)


def total_weight(parcels: list[Parcel]) -> float:
"""
KEY_S = 0.15  # 80 words a minute
PATH = PARCELS / "parcels" / "parcel.py"
WAIT = {**OPTIONS, "completion": {"debounce_ms": 60, "deadline_ms": 120_000, "max_tokens": 24}}


@pytest_lsp.fixture(config=ClientServerConfig(server_command=COMMAND, server_env=environment()))
async def client(lsp_client: LanguageClient) -> AsyncIterator[None]:
    """An editor that asks with every key and cancels what it asked before, as VS Code does."""
    await begin(lsp_client, capabilities(), WAIT)
    yield
    await lsp_client.shutdown_session()


@dataclass
class Screen:
    """What the editor shows: the text, and behind the cursor a suggestion, as far as it is still the text's."""

    client: LanguageClient
    uri: str
    text: str
    version: int = 1
    ghost: str = ""
    flickers: list[str] = field(default_factory=list)
    shown: int = 0
    kept: int = 0  # keys after which what was left of a suggestion was still there
    _asked: asyncio.Task[None] | None = None
    _id: int = 0

    def type(self, more: str) -> None:
        """Keys arrive, or an accepted suggestion."""
        lines = self.text.split("\n")
        end = types.Position(len(lines) - 1, len(lines[-1].encode()))
        self.version += 1
        change = types.TextDocumentContentChangePartial(range=types.Range(end, end), text=more)
        identifier = types.VersionedTextDocumentIdentifier(version=self.version, uri=self.uri)
        self.client.text_document_did_change(types.DidChangeTextDocumentParams(identifier, [change]))
        self.text += more
        self.ghost = self.ghost[len(more) :] if self.ghost.startswith(more) else ""
        self.ask()

    def ask(self) -> None:
        """With every key; the question before is cancelled."""
        if self._asked is not None and not self._asked.done():
            self.client.cancel_request(types.CancelParams(id=f"key {self._id}"))
        self._id += 1
        self._asked = asyncio.create_task(self._answer(f"key {self._id}", self.text, self.ghost))

    async def settle(self) -> None:
        """Waits for the answer to the last key."""
        if self._asked is not None:
            await asyncio.wait_for(self._asked, LIMIT_S)

    async def _answer(self, id_: str, text: str, before: str) -> None:
        lines = text.split("\n")
        params = types.InlineCompletionParams(
            context=types.InlineCompletionContext(types.InlineCompletionTriggerKind.Automatic),
            text_document=types.TextDocumentIdentifier(self.uri),
            position=types.Position(len(lines) - 1, len(lines[-1].encode())),
        )
        future = self.client.protocol.send_request("textDocument/inlineCompletion", params, msg_id=id_)
        try:
            answer = await asyncio.wait_for(asyncio.wrap_future(future), LIMIT_S)
        except JsonRpcException:
            return  # cancelled, or overtaken
        if self.text != text:
            return  # too late: the editor has dropped it
        got = answer.items[0].insert_text if answer is not None and answer.items else ""
        if before and got != before:
            self.flickers.append(f"{text[-30:]!r}: {before!r} became {got!r}")
        self.kept += bool(before)
        self.shown += bool(got) and got != before
        self.ghost = got


async def counted(client: LanguageClient) -> Any:
    """What completions have cost so far, once nothing runs any more."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            status = await client.protocol.send_request_async("gemma-lsp/status", {})
            if not status.completions.running:
                return status.completions
            await asyncio.sleep(0.1)


async def opened(client: LanguageClient) -> Screen:
    await until_ready(client)
    text = PATH.read_text().rstrip("\n") + "\n"
    document = types.TextDocumentItem(uri=PATH.as_uri(), language_id="python", version=1, text=text)
    client.text_document_did_open(types.DidOpenTextDocumentParams(document))
    return Screen(client, PATH.as_uri(), text)


async def test_two_hundred_characters_at_human_speed(client: LanguageClient) -> None:
    """Fewer model calls than keys, a few tokens each, and nothing ever flickers."""
    assert 180 <= len(TYPED) <= 240
    screen, pace = await opened(client), random.Random(0)
    for key in TYPED:
        screen.type(key)
        await asyncio.sleep(KEY_S * pace.uniform(0.6, 1.4))
    await screen.settle()
    cost = await counted(client)
    assert screen.text.endswith(TYPED)
    assert screen.flickers == []
    assert screen.shown > 0
    assert cost.asked < len(TYPED)
    assert cost.answers.typedAlong > 0
    assert cost.evaluated <= 12 * (cost.asked + cost.askedAhead) + 1500  # the code around the cursor, once
    assert cost.generated <= 24 * (cost.asked + cost.askedAhead)


async def test_typing_what_is_suggested_asks_nothing_and_never_flickers(client: LanguageClient) -> None:
    """Key by key what was shown stays; the model is asked again only when it has been typed to its end."""
    screen = await opened(client)
    screen.type("\n\ndef heaviest(parcels: list[Parcel]) -> Parcel:\n    return max(")
    await screen.settle()
    suggestion = screen.ghost
    assert len(suggestion) > 3
    before = await counted(client)
    for key in suggestion[:-1]:
        screen.type(key)
        await screen.settle()
    after = await counted(client)
    assert screen.flickers == []
    assert screen.kept == len(suggestion) - 1
    assert (after.asked, after.askedAhead) == (before.asked, before.askedAhead)
    assert screen.ghost == suggestion[-1]


async def test_accepting_word_by_word_keeps_the_rest(client: LanguageClient) -> None:
    """And what follows the whole of it was prepared meanwhile: the next line asks nothing that was not known."""
    screen = await opened(client)
    screen.type("\n\ndef lightest(parcels: list[Parcel]) -> Parcel:\n    return min(")
    await screen.settle()
    await counted(client)
    suggestion = screen.ghost
    middle = len(suggestion) // 2
    before = await counted(client)
    for part in (suggestion[:middle], suggestion[middle:]):
        screen.type(part)
        await screen.settle()
    after = await counted(client)
    assert screen.flickers == []
    assert after.asked == before.asked
    assert after.askedAhead >= 1


assert Path(PATH).is_file()
