"""Words over the wire: they stream, are stopped and followed up."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from typing import Any

import pytest

from tests.support.acting import BODY, STREAMS, answers, chat, command
from tests.support.scripted import ScriptedEngine, scripted_model
from tests.support.sessions import SlowEngine, open_file, quiet, started_in

pytestmark = pytest.mark.usefixtures("calm")


async def test_an_answer_begins_thinks_speaks_and_ends(shop: Path) -> None:
    """Title first, thoughts apart and before the words, one last message with all of it."""
    async with quiet(chat("<|channel>thought\nhm, hm\n<channel|>It forgets the surcharge.")) as client:
        await started_in(client, shop, experimental=STREAMS)
        uri = open_file(client, shop / "shop/rates.py")
        run = command("explain", uri=uri, range=BODY, about="code", id="a1")
        result = await client.result("workspace/executeCommand", run)
        told = answers(client, "a1")
        assert told[0] == {"id": "a1", "title": "Explain this code: shop/rates.py"}
        kinds = ["thinking" if "thinking" in m else "delta" for m in told[1:-1]]
        assert kinds == sorted(kinds, reverse=True)
        assert "".join(m.get("thinking", "") for m in told[1:-1]).strip() == "hm, hm"
        assert "".join(m.get("delta", "") for m in told) == "It forgets the surcharge."
        assert told[-1] == {"id": "a1", "done": True, "markdown": result["markdown"], "thinking": "hm, hm"}


class Endless(ScriptedEngine):
    """Says a few words and then goes on for ever."""

    async def generate(self, workspace: str, prompt: Any, options: Any) -> Any:
        async for event in super().generate(workspace, prompt, options):
            if hasattr(event, "reason"):
                break
            yield event
        await asyncio.Event().wait()


async def test_a_stopped_answer_is_kept(shop: Path) -> None:
    """What there is stays, with a line that says so; there is nothing to stop a second time."""
    engine = Endless("It forgets the surcharge", model=scripted_model("chat"))
    async with quiet(engine) as client:
        await started_in(client, shop, experimental=STREAMS)
        uri = open_file(client, shop / "shop/rates.py")
        id_ = client.begin("workspace/executeCommand", command("explain", uri=uri, range=BODY, id="a1"))
        await client.until(lambda: "".join(m.get("delta", "") for m in answers(client, "a1")).endswith("surcharge"))
        busy = await client.ask("workspace/executeCommand", command("explain", uri=uri, range=BODY, id="a1"))
        assert busy["error"]["code"] == -32602
        assert await client.result("workspace/executeCommand", command("stop", id="a1")) is True
        result = (await client.answer(id_))["result"]
        assert result["cancelled"] is True
        assert "It forgets the surcharge\n\n*Stopped before the end.*" in result["markdown"]
        last = {"id": "a1", "done": True, "cancelled": True, "markdown": result["markdown"]}
        assert answers(client, "a1")[-1] == last
        assert await client.result("workspace/executeCommand", command("stop", id="a1")) is False


async def test_whoever_heard_something_keeps_it(shop: Path) -> None:
    """A base model's answer begins with words of ours: they come with its own first one, never before."""
    engine = Endless(" it", model=scripted_model("base"))
    async with quiet(engine) as client:
        await started_in(client, shop, experimental=STREAMS)
        uri = open_file(client, shop / "shop/rates.py")
        id_ = client.begin("workspace/executeCommand", command("explain", uri=uri, range=BODY, id="a1"))
        await client.until(lambda: any("delta" in message for message in answers(client, "a1")))
        assert await client.result("workspace/executeCommand", command("stop", id="a1")) is True
        result = (await client.answer(id_))["result"]
        said = "".join(message.get("delta", "") for message in answers(client, "a1"))
        assert said == "The function `rate` fails when it"
        assert said in result["markdown"]
        assert answers(client, "a1")[-1]["markdown"] == result["markdown"]


async def test_a_model_that_says_nothing_is_not_given_our_words(shop: Path) -> None:
    """Blank space is nothing, too."""
    async with quiet(ScriptedEngine(" \n ", model=scripted_model("base"))) as client:
        await started_in(client, shop, experimental=STREAMS)
        uri = open_file(client, shop / "shop/rates.py")
        result = await client.result("workspace/executeCommand", command("explain", uri=uri, range=BODY, id="a1"))
        assert "*The model said nothing.*" in result["markdown"]
        assert not any("delta" in message for message in answers(client, "a1"))


async def test_an_answer_stopped_before_the_first_word_is_none(shop: Path) -> None:
    """The command answers null, and nobody is told of an error."""
    engine = SlowEngine()
    async with quiet(engine) as client:
        await started_in(client, shop, experimental=STREAMS)
        uri = open_file(client, shop / "shop/rates.py")
        id_ = client.begin("workspace/executeCommand", command("explain", uri=uri, range=BODY, id="a1"))
        await asyncio.wait_for(engine.running.wait(), 20)
        await client.result("workspace/executeCommand", command("stop", id="a1"))
        assert (await client.answer(id_))["result"] is None
        assert answers(client, "a1")[-1] == {"id": "a1", "done": True, "cancelled": True}
        assert client.received("window/showMessage") == []


async def test_a_follow_up_is_asked_with_what_was_said(shop: Path) -> None:
    """Question and answer come again; an answer that nobody remembers is an error."""
    engine = chat("Because of history.", "Since 1999.")
    async with quiet(engine) as client:
        await started_in(client, shop, experimental=STREAMS)
        ask = command("ask", question="Why three?", id="q1")
        await client.result("workspace/executeCommand", ask)
        await client.result("workspace/executeCommand", command("ask", question="Since when?", id="q2", follows="q1"))
        prompt = engine.asked[-1].text
        assert "I asked before: Why three?\nThe answer was:\nBecause of history." in prompt
        assert prompt.index("Because of history.") < prompt.index("Since when?")
        forgotten = await client.ask("workspace/executeCommand", command("ask", question="?", follows="q9"))
        assert forgotten["error"]["code"] == -32602


async def test_a_question_about_a_selection(shop: Path) -> None:
    """The selected lines stand in the prompt with their numbers."""
    engine = chat("Nothing.")
    async with quiet(engine) as client:
        await started_in(client, shop)
        uri = open_file(client, shop / "shop/rates.py")
        await client.result("workspace/executeCommand", command("ask", question="What is it?", uri=uri, range=BODY))
        assert "In shop/rates.py, line 2:\n\n```python\n2 |     return weight * 3\n" in engine.asked[-1].text


async def test_a_traceback_says_where(shop: Path) -> None:
    """Without a place, the innermost line in the workspace is meant; the traceback is quoted."""
    engine = chat("It is a string.")
    traceback = (
        f'Traceback:\n  File "{shop}/shop/rates.py", line 2, in rate\n  File "/usr/x.py", line 3\nTypeError: no\n'
    )
    async with quiet(engine) as client:
        await started_in(client, shop)
        result = await client.result("workspace/executeCommand", command("explain", traceback=traceback))
        assert result["markdown"].startswith("# Explain this bug: `rate`")
        assert "Running it ended like this:" in engine.asked[-1].text
        assert "TypeError: no" in engine.asked[-1].text
        elsewhere = command("explain", traceback='File "/usr/x.py", line 3')
        assert await client.result("workspace/executeCommand", elsewhere) is None


async def test_status_comes_unasked(shop: Path) -> None:
    """To clients that want it, whenever something has changed, and never twice the same."""
    async with quiet(chat("x")) as client:
        await started_in(client, shop, experimental=STREAMS)
        await client.notification("gemma-lsp/status", lambda s: [w["state"] for w in s["workspaces"]] == ["ready"])
        told = client.received("gemma-lsp/status")
        assert all(before != after for before, after in itertools.pairwise(told))
        assert told[-1] == await client.result("gemma-lsp/status")
    async with quiet(chat("x")) as client:
        await started_in(client, shop)
        assert client.received("gemma-lsp/status") == []
