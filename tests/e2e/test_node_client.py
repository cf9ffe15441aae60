"""Microsoft's own client library against the real server and the real model: an independent reading of the protocol."""

from __future__ import annotations

import asyncio
import json
import shutil
from typing import Any

from tests.e2e.server import COMMAND, LIMIT_S, OPTIONS, PARCELS, ROOT, environment

CLIENT = ROOT / "tests" / "node" / "client.mjs"


async def conversation() -> Any:
    """Runs the client; returns what it saw."""
    node = shutil.which("node")
    assert node, "this test needs Node.js; `make test` installs it"
    options = json.dumps({**OPTIONS, "diagnostics": {"enabled": "off"}})
    arguments = [str(CLIENT), str(PARCELS), "parcels/parcel.py", options, "--", *COMMAND]
    process = await asyncio.create_subprocess_exec(node, *arguments, env=environment(), stdout=-1, stderr=-1)
    try:
        async with asyncio.timeout(LIMIT_S + 20):
            out, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, errors.decode(errors="replace")[-3000:]
    return json.loads(out)


async def test_a_whole_conversation() -> None:
    """From initialize to exit: every feature answers, every mistake gets its code, nothing is complained about."""
    seen = await conversation()
    assert (seen["server"], seen["encoding"]) == ("gemma-lsp", "utf-16")
    assert seen["errors"] == []
    assert seen["messages"] == []
    assert set(seen["registered"]) == {"workspace/didChangeWatchedFiles", "textDocument/inlineCompletion"}
    assert seen["resident"] > 0
    kinds = [kind for token, kind in seen["progress"] if token == "gemma-lsp: reading sample"]
    assert (kinds[0], kinds[-1]) == ("begin", "end")
    (suggestion,) = seen["inline"]
    assert suggestion.strip()
    assert seen["again"] == seen["inline"]
    assert seen["range"] == {"start": seen["cursor"], "end": seen["cursor"]}
    assert seen["completion"]["items"][0]["insertText"].endswith(suggestion)
    assert seen["actions"] == [["Explain this bug", "quickfix"], ["Explain this code", "gemma-lsp.explain"]]
    assert seen["explained"].startswith("# Explain this bug: `Dimensions.volume_cm3`")
    assert seen["shown"] == [seen["explained"]]
    assert seen["diagnostic"] == "full"
    assert seen["errorCodes"] == [-32601, -32602, -32600, -32600]
    assert seen["exitCode"] == 0
