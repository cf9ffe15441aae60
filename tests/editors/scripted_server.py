"""`python -m tests.editors.scripted_server`: the real server with an engine whose words are written here.

For what the small models of the tests cannot be relied on to say: a finding, a fix, thoughts. It knows the workspace
of `FILES` and finds one bug in it.
"""

from __future__ import annotations

import json
import sys

from gemma_lsp.server import ServeOptions, run
from tests.support.scripted import Asked, ScriptedEngine, scripted_model
from tests.support.sessions import factory

CLAIM = "the surcharge is missing"
WRONG, RIGHT = "return weight * 3", "return weight * 4"
WORDS = "It forgets the surcharge: every parcel costs too little."
COMMAND = (sys.executable, "-P", "-m", "tests.editors.scripted_server")

_OPENING = "```python\ndef rate("
_FIX = f"{_OPENING}weight):\n    {RIGHT}\n```"
_THOUGHTS = "<|channel>thought\nThree or four?\n<channel|>"
_FINDING = {"quote": WRONG, "what": CLAIM, "why": "", "severity": "error", "confidence": 90}


def answer(asked: Asked) -> str:
    """What a model that knows the bug would say."""
    prompt = "".join(segment.text for segment in asked.prompt)
    if '"findings"' in prompt[-3000:]:
        found = WRONG in prompt.rpartition("def rate(")[2]
        return json.dumps({"findings": [_FINDING] if found else []})
    if prompt.rstrip().endswith(_OPENING):
        return _FIX.removeprefix(_OPENING)
    if "Answer with one block of Python code" in prompt[-1000:]:
        return f"{_THOUGHTS}{_FIX}"
    if (asked.options.supersedes or "").startswith("inline"):
        return "weight * 3\n"
    return f"{_THOUGHTS}{WORDS}"


if __name__ == "__main__":
    engine = ScriptedEngine(answer, model=scripted_model("chat"))
    raise SystemExit(run(ServeOptions(), factory(engine)))
