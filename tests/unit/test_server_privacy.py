"""What is ignored or secret is in no edit, no diagnostic and no explanation: the model is never shown it.

And where a model names it all the same, as a file told it to or by guessing, nothing is linked and nothing is read.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.scripted import Asked, ScriptedEngine, scripted_model
from tests.support.sessions import FILES, at, between, open_file, quiet, started_in, write_files

HIDDEN = "hidden_ingredient_4711"
SECRET = "AKIA" + "Q3EGRIX7Z5MWTLNV"
MORE = {
    ".gitignore": "private/\nnotes.py\n",
    "notes.py": f"def rate(weight):\n    return '{HIDDEN}'\n",
    "private/rates.py": f"RECIPE = '{HIDDEN}'\n\n\ndef rate(weight):\n    return RECIPE\n",
    ".env": f"AWS_ACCESS_KEY_ID={SECRET}\n",
    "shop/keys.py": f"ACCESS = '{SECRET}'\n\n\ndef rate(weight):\n    return ACCESS\n",
}
STREAMS = {"experimental": {"gemmaLsp": {"stream": True}}, "textDocument": {"diagnostic": {}}}
RESOLVES = {"codeAction": {"dataSupport": True, "resolveSupport": {"properties": ["edit"]}}, "diagnostic": {}}
BODY = between((1, 4), (1, 21))
NAMES = "See `notes.py`: `def rate(weight):` and `private/rates.py`: `RECIPE` and `shop/keys.py`: `ACCESS`."
FINDING = {"quote": "return weight * 3", "what": "wrong", "why": "so", "severity": "error", "confidence": 90}


def answers(asked: Asked) -> str:
    """Whatever is asked, something that could have come from what is hidden."""
    if '"findings"' in asked.text[-3000:]:
        hidden = [{**FINDING, "quote": quote} for quote in ("return RECIPE", "ACCESS")]
        return json.dumps({"findings": [*hidden, FINDING]})
    if asked.text.endswith("def rate("):
        return "weight):\n    return weight * 4\n```"
    return NAMES


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return write_files(tmp_path / "shop", {**FILES, **MORE})


def command(name: str, **arguments: Any) -> dict[str, Any]:
    return {"command": f"gemma-lsp.{name}", "arguments": [arguments]}


async def test_nothing_that_is_hidden_is_shown(shop: Path) -> None:
    """Every feature that speaks, edits or reports, with files that the ignored ones share their names with."""
    engine = ScriptedEngine(answers, model=scripted_model("chat"))
    options = {"diagnostics": {"enabled": "on"}, "hover": {"enabled": True}, "explain": {"thinking_tokens": 0}}
    async with quiet(engine) as client:
        await started_in(client, shop, options, textDocument=RESOLVES, experimental=STREAMS["experimental"])
        uri = open_file(client, shop / "shop/rates.py")
        told = [
            await client.result("workspace/executeCommand", command("explain", uri=uri, range=BODY, id="a1")),
            await client.result("workspace/executeCommand", command("ask", question="What is the recipe?", id="a2")),
            await client.result("textDocument/hover", at(uri, 0, 5)),
            await client.result("textDocument/diagnostic", {"textDocument": {"uri": uri}}),
        ]
        params = {"textDocument": {"uri": uri}, "range": BODY, "context": {"diagnostics": []}}
        for action in await client.result("textDocument/codeAction", params):
            told.append(await client.ask("codeAction/resolve", action))
        shown = json.dumps([told, client.messages], default=str)
    assert told[3]["items"]
    assert len(engine.asked) > 6
    for asked in engine.asked:
        assert HIDDEN not in asked.text
        assert SECRET not in asked.text
    assert HIDDEN not in shown
    assert SECRET not in shown
    assert all(path not in shown for path in ("notes.py#L", "private/rates.py#L", "shop/keys.py#L"))
    assert told[0]["citations"] == []


@pytest.mark.parametrize("path", ["notes.py", "private/rates.py", "shop/keys.py"])
async def test_an_open_file_that_is_hidden_has_no_actions(shop: Path, path: str) -> None:
    """Though the editor has it open, it is not explained, not corrected and not reviewed."""
    engine = ScriptedEngine(answers, model=scripted_model("chat"))
    async with quiet(engine) as client:
        await started_in(client, shop, {"diagnostics": {"enabled": "on"}}, textDocument=RESOLVES)
        uri = open_file(client, shop / path)
        params = {"textDocument": {"uri": uri}, "range": BODY, "context": {"diagnostics": []}}
        assert not await client.result("textDocument/codeAction", params)
        for name in ("explain", "fix"):
            run = command(name, uri=uri, range=BODY, id=name)
            assert await client.result("workspace/executeCommand", run) is None
        report = await client.result("textDocument/diagnostic", {"textDocument": {"uri": uri}})
        assert report["items"] == []
        assert engine.asked == []
