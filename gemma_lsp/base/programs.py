"""How this product starts itself again as another process."""

from __future__ import annotations

import sys


def own_module(module: str, *arguments: str) -> list[str]:
    """The command that runs one of our modules with this interpreter.

    `-P`: the working folder is a user's repository, and a `json.py` or an `httpx` in it is not ours to run.
    """
    return [sys.executable, "-P", "-m", module, *arguments]
