"""Completions over the protocol: shared runs, prepared ones, and what became of them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gemma_lsp.features.tally_file import TallyFile
from gemma_lsp.server.run import serve
from tests.support.raw_client import RawClient
from tests.support.scripted import Asked, ScriptedEngine
from tests.support.sessions import FILES, between, inline_at, open_file, quiet, started_in, write_files

HEAD = "from shop.rates import rate\n\n\ndef total(items):\n    found = "
SAID = {"found = ": "sum(rate(i) for i in items)\n", "in items)\n    ": "return found\n"}
OPTIONS = {"completion": {"debounce_ms": 0}}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return write_files(tmp_path / "shop", {**FILES, "shop/new.py": HEAD})


@pytest.fixture
def engine() -> ScriptedEngine:
    def answer(asked: Asked) -> str:
        return next((said for end, said in SAID.items() if asked.text.endswith(end)), "\n")

    return ScriptedEngine(answer)


class Editor:
    """Types at the end of a document, and asks there."""

    def __init__(self, client: RawClient, shop: Path) -> None:
        self._client, self._version, self.text = client, 1, HEAD
        self.uri = open_file(client, shop / "shop/new.py")

    def type(self, more: str) -> None:
        end = self._end()
        self._version += 1
        self.text += more
        identifier = {"uri": self.uri, "version": self._version}
        change = {"range": between(end, end), "text": more}
        self._client.notify("textDocument/didChange", {"textDocument": identifier, "contentChanges": [change]})

    async def ask(self) -> str:
        answer = await self._client.result("textDocument/inlineCompletion", inline_at(self.uri, *self._end(), kind=2))
        return answer["items"][0]["insertText"] if answer["items"] else ""

    async def counted(self) -> dict[str, Any]:
        """What completions cost, once nothing runs."""
        async with asyncio.timeout(20):
            while True:
                counts: dict[str, Any] = (await self._client.result("gemma-lsp/status"))["completions"]
                if not counts["running"]:
                    return counts
                await asyncio.sleep(0.005)

    def _end(self) -> tuple[int, int]:
        lines = self.text.split("\n")
        return len(lines) - 1, len(lines[-1])


async def test_an_acceptance_in_two_parts_and_the_next_line_cost_nothing_more(
    shop: Path, engine: ScriptedEngine
) -> None:
    """What was prepared is what the server asks for itself then."""
    async with quiet(engine) as client:
        await started_in(client, shop, OPTIONS)
        editor = Editor(client, shop)
        first = await editor.ask()
        assert first == "sum(rate(i) for i in items)"
        before = await editor.counted()
        assert (before["asked"], before["askedAhead"]) == (1, 2)
        editor.type(first[:4])
        assert await editor.ask() == first[4:]
        editor.type(first[4:])
        assert await editor.ask() == ""
        editor.type("\n    ")
        assert await editor.ask() == "return found"
        after = await editor.counted()
        assert after["asked"] == 1
        assert after["answers"]["typedAlong"] >= 1


async def test_every_key_is_counted(shop: Path, engine: ScriptedEngine) -> None:
    """Typing along asks nothing."""
    async with quiet(engine) as client:
        await started_in(client, shop, OPTIONS)
        editor = Editor(client, shop)
        suggestion = await editor.ask()
        for n, key in enumerate(suggestion[:-1], 1):
            editor.type(key)
            assert await editor.ask() == suggestion[n:]
        counts = await editor.counted()
        assert counts["answers"] == {"model": 1, "typedAlong": len(suggestion) - 1}
        assert counts["asked"] == 1


@pytest.fixture
def tally(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TallyFile:
    """The file of a real server's session."""
    file = TallyFile(tmp_path / "state" / "completions.json")
    monkeypatch.setattr("tests.support.raw_client.serve", lambda *args: serve(*args, tally_file=file))
    return file


async def test_what_was_accepted_is_written_down_at_the_end(
    shop: Path, engine: ScriptedEngine, tally: TallyFile
) -> None:
    """By day, without any text."""
    async with quiet(engine) as client:
        await started_in(client, shop, OPTIONS)
        editor = Editor(client, shop)
        editor.type(await editor.ask())
        await editor.counted()
        assert tally.read() == {}
    (counts,) = tally.read().values()
    assert (counts["shown"], counts["accepted"], counts["kept_characters"]) == (1, 1, 27)
    assert "rate" not in tally.path.read_text()


async def test_a_run_is_kept_over_cancelled_requests(shop: Path) -> None:
    """As VS Code does it: cancel, change, ask again, with every key."""

    class Slow(ScriptedEngine):
        async def generate(self, workspace, prompt, options):  # type: ignore[no-untyped-def]
            async for event in super().generate(workspace, prompt, options):
                await go_on.wait()
                yield event

    go_on = asyncio.Event()
    engine = Slow("sum(items)\n")
    async with quiet(engine) as client:
        await started_in(client, shop, {"completion": {"debounce_ms": 0, "prefetch": False}})
        editor = Editor(client, shop)
        id_ = client.begin("textDocument/inlineCompletion", inline_at(editor.uri, *editor._end(), kind=2))
        async with asyncio.timeout(20):
            while not engine.asked:
                await asyncio.sleep(0.001)
        for key in "su":
            client.notify("$/cancelRequest", {"id": id_})
            editor.type(key)
            id_ = client.begin("textDocument/inlineCompletion", inline_at(editor.uri, *editor._end(), kind=2))
        await client.result("gemma-lsp/status")
        go_on.set()
        answer = (await client.answer(id_))["result"]
        assert answer["items"][0]["insertText"] == "m(items)"
        assert len(engine.asked) == 1
        assert engine.cancelled == 0
