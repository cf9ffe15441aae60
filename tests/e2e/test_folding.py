"""What was told goes back into the body by moving cells, in the real processes, with and without a window.

Over a scripted engine, step by step, this is tests/unit/test_app_warming.py; here the cache is llama.cpp's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gemma_lsp.kv.splice import BEFORE, BEHIND
from tests.e2e.server import LIMIT_S, OPTIONS, SERVE, environment
from tests.support.models import plain_model
from tests.support.raw_client import RawClient, spawned
from tests.support.sessions import between, initialized_in, inline_at, open_file, write_files

MODULES = ("ducks", "geese", "swans", "terns")
OURS = {"gemmaLsp": {"cost": True}}


def module(name: str) -> str:
    parts = (
        f'def {name}_{n}(weight: float, distance: float) -> float:\n    """The cost of bird {n} of the {name}."""\n'
        f"    return weight * {n + 3} + distance * {n + 7}\n"
        for n in range(12)
    )
    return "\n\n".join(parts)


def insertion(name: str) -> str:
    return "".join(
        f"def insured_{name}_{n}(value: float, tax: float = 0.{n + 1}) -> float:\n"
        f'    """What insurance number {n} costs for birds that travel a long way in winter."""\n'
        f"    insured = value * 1.{n + 1} + tax\n    return insured - {n}\n\n\n"
        for n in range(4)
    )


def readings(client: RawClient) -> list[Any]:
    return [told["cost"] for told in client.received("gemma-lsp/cost") if told["kind"] == "warm"]


@pytest.mark.parametrize("windowed", [False, True], ids=["plain", "windowed"])
async def test_what_was_told_is_folded_into_the_body_by_moving_cells(tmp_path: Path, windowed: bool) -> None:
    """Only the new text is read; an answer afterwards is not told of it again, and is known not to be exact."""
    files = {f"birds/{name}.py": module(name) for name in MODULES}
    shop = write_files(tmp_path / "shop", files)
    env = {**environment(), **({} if windowed else {"GEMMA_LSP_MODEL": str(plain_model())})}
    options = {**OPTIONS, "index": {"budget_tokens": 3000}, "diagnostics": {"enabled": "off"}}
    async with spawned(SERVE, env, tmp_path / "log") as client:
        client.limit_s = LIMIT_S
        await initialized_in(client, shop, options, experimental=OURS)
        (first,) = await client.until(lambda: readings(client)[:1])
        assert first["exact"]

        for name in MODULES[:3]:
            uri = open_file(client, shop / f"birds/{name}.py")
            change = {"range": between((0, 0), (0, 0)), "text": insertion(name)}
            identifier = {"uri": uri, "version": 2}
            client.notify("textDocument/didChange", {"textDocument": identifier, "contentChanges": [change]})
        last = open_file(client, shop / "birds/terns.py")
        await client.result("textDocument/inlineCompletion", inline_at(last, 2, len("    return ")))
        told = client.received("gemma-lsp/cost")[-1]["cost"]
        assert told["evaluatedByRegion"]["errata"] > 512

        folded = (await client.until(lambda: readings(client)[1:]))[0]
        assert not folded["exact"]
        again = 3 * (BEHIND + (BEFORE if windowed else 0))
        assert folded["evaluated"] < told["evaluatedByRegion"]["errata"] + again
        assert folded["reused"] + folded["evaluated"] == folded["prompt"] > first["prompt"]

        await client.result("textDocument/inlineCompletion", inline_at(last, 7, len("    return ")))
        after = client.received("gemma-lsp/cost")[-1]["cost"]
        assert "errata" not in after["evaluatedByRegion"]
        assert "body" not in after["evaluatedByRegion"]
        assert not after["exact"]
        await client.result("shutdown")
        client.notify("exit")
