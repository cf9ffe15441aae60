"""What stands in files that are in no prompt is completed all the same, and is forgotten when it changes."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from tests.e2e.server import LIMIT_S, OPTIONS, SERVE, environment
from tests.support.raw_client import RawClient, spawned
from tests.support.sessions import initialized_in, inline_at, open_file, replace_text, write_files

OPENING = "def audit_{name}(account):\n    ledger = open_ledger(account)\n    return ledger."
QUIET_S = 7.0  # longer than the server waits for
TRIES = 5
N_FILES = 8


def desk(n: int, method: str) -> str:
    """Long enough that a prompt of 256 tokens shows none in full."""
    others = "".join(f"def drawer_{n}_{m}(key):\n    return key + {m}\n\n\n" for m in range(30))
    return others + OPENING.format(name=n) + f"{method}(account)\n"


async def completed(client: RawClient, folder: Path, name: str) -> str:
    """What is suggested at the end of a file that is new, so that nothing is known of it."""
    text = OPENING.format(name=name)
    uri = open_file(client, write_files(folder, {f"{name}.py": text}) / f"{name}.py", text)
    lines = text.split("\n")
    result = await client.result("textDocument/inlineCompletion", inline_at(uri, len(lines) - 1, len(lines[-1])))
    items = result["items"] if isinstance(result, dict) else result or []
    return "".join(item["insertText"] for item in items)


async def completed_when_learned(client: RawClient, folder: Path, name: str, method: str) -> str:
    """The same, again after a pause until the method is suggested."""
    found = ""
    for n in range(TRIES):
        await asyncio.sleep(QUIET_S)
        found = await completed(client, folder, f"{name}{n}")
        if method in found:
            break
    return found


@pytest.mark.parametrize("recall", [True, False], ids=["on", "off"])
async def test_names_of_files_that_are_in_no_prompt_are_known(tmp_path: Path, recall: bool) -> None:
    """Eight files say what is done with a ledger, and the prompt has room for none of them."""
    shop = write_files(tmp_path / "shop", {f"desks/desk_{n}.py": desk(n, "quench_zephyr") for n in range(N_FILES)})
    completion = {**OPTIONS["completion"], "similar_chars": 0, "recall": recall}
    options = {**OPTIONS, "index": {"budget_tokens": 256}, "completion": completion, "diagnostics": {"enabled": "off"}}
    async with spawned(SERVE, environment(), tmp_path / "log") as client:
        client.limit_s = LIMIT_S
        await initialized_in(client, shop, options, experimental={"gemmaLsp": {"cost": True}})
        await client.until(lambda: client.received("gemma-lsp/cost"))
        if not recall:
            await asyncio.sleep(QUIET_S)
            assert "quench_zephyr" not in await completed(client, shop, "off")
        else:
            assert (await completed_when_learned(client, shop, "first", "quench_zephyr")).startswith("quench_zephyr(")
            for n in range(N_FILES):
                uri = open_file(client, shop / f"desks/desk_{n}.py")
                replace_text(client, uri, desk(n, "polish_gargoyle"))
            assert not re.search("quench|zephyr", await completed(client, shop, "at_once"))
            again = await completed_when_learned(client, shop, "later", "polish_gargoyle")
            assert again.startswith("polish_gargoyle(")
        await client.result("shutdown")
        client.notify("exit")
