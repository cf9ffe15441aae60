"""The output of a failing test or program: where in the workspace it points, and as much of it as a prompt holds. Pure.

It comes from a person's clipboard or a test runner and is quoted to the model; nothing in it is followed.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from gemma_lsp.features.markdown import plain

MAX_CHARS = 2500  # about 800 tokens; the end says what happened; guessed
_FRAME = re.compile(r'^\s*File "(?P<python>[^"\n]+)", line (?P<n>\d+)|^(?P<pytest>[^\s:>]+\.py):(?P<m>\d+):', re.M)


def place_in(traceback: str, paths: Collection[str]) -> tuple[str, int] | None:
    """The innermost line, counted from 1, that lies in one of the workspace's files, of Python's or pytest's form."""
    for frame in reversed(list(_FRAME.finditer(traceback))):
        named = (frame["python"] or frame["pytest"]).replace("\\", "/")
        ending = [path for path in paths if named == path or named.endswith("/" + path)]
        if ending:
            return max(ending, key=len), int(frame["n"] or frame["m"])
    return None


def clipped(traceback: str) -> str:
    """Its last lines, as text that cannot end the fence around it."""
    text = plain(traceback.replace("\r\n", "\n")).replace("```", "'''").strip("\n")
    if len(text) <= MAX_CHARS:
        return text
    return "...\n" + text[-MAX_CHARS:].partition("\n")[2]
