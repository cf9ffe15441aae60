"""Thoughts with the real server, the real engine and a real model: told apart, within their budget, without markers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests.e2e.server import LIMIT_S, OPTIONS, SERVE, environment
from tests.support.models import thinking_model
from tests.support.raw_client import spawned
from tests.support.sessions import initialized_in, open_file, write_files

CODE = '''def largest(numbers):
    """The largest of some numbers."""
    best = 0
    for n in numbers:
        if n > best:
            best = n
    return best
'''
OURS = {"gemmaLsp": {"cost": True, "stream": True}}
BUDGET, ANSWER = 48, 24
MARKS = ("<think>", "</think>", "<|im_start|>", "<|im_end|>")


async def test_thoughts_are_told_apart_and_end_with_their_budget(tmp_path: Path) -> None:
    """What follows them is an answer, however long the model would have gone on thinking."""
    shop = write_files(tmp_path / "shop", {"numbers.py": CODE})
    env = {**environment(), "GEMMA_LSP_MODEL": str(thinking_model(tmp_path))}
    explain = {"max_tokens": ANSWER, "thinking_tokens": BUDGET}
    options = {**OPTIONS, "diagnostics": {"enabled": "off"}, "explain": explain}
    async with spawned(SERVE, env, tmp_path / "log") as client:
        client.limit_s = LIMIT_S
        await initialized_in(client, shop, options, experimental=OURS)
        uri = open_file(client, shop / "numbers.py")
        range_ = {"start": {"line": 2, "character": 0}, "end": {"line": 3, "character": 0}}
        command = {"command": "gemma-lsp.explain", "arguments": [{"uri": uri, "range": range_, "id": "t"}]}
        result: Any = await client.result("workspace/executeCommand", command)

        told = client.received("gemma-lsp/explain")
        kinds = ["thinking" if "thinking" in m else "delta" for m in told[1:-1]]
        assert kinds == sorted(kinds, reverse=True), "thoughts come first"
        thoughts = "".join(m.get("thinking", "") for m in told[:-1])
        words = "".join(m.get("delta", "") for m in told)
        assert thoughts.strip()
        assert words.strip()
        assert told[-1]["thinking"].strip() == thoughts.strip()
        # What this model says differs from one processor to the next; marks in it are escaped, citations looked up.
        answer = result["markdown"].partition(")\n")[2]
        assert re.findall(r"\w+", words)[:3] == re.findall(r"\w+", answer)[:3]
        assert thoughts.strip() not in result["markdown"]
        assert not [mark for mark in MARKS if mark in thoughts + words + result["markdown"]]
        assert 0 < result["cost"]["generated"] <= BUDGET + ANSWER + 2
        await client.result("shutdown")
        client.notify("exit")
