"""What the tests of actions over the wire share."""

from __future__ import annotations

from typing import Any

from tests.support.raw_client import RawClient
from tests.support.scripted import ScriptedEngine, scripted_model
from tests.support.sessions import between

STREAMS = {"gemmaLsp": {"stream": True, "cost": True, "status": True}}
RESOLVES: dict[str, Any] = {
    "codeAction": {"dataSupport": True, "resolveSupport": {"properties": ["edit"]}},
}
ANNOTATES = {
    "workspaceEdit": {
        "documentChanges": True,
        "resourceOperations": ["create", "rename", "delete"],
        "changeAnnotationSupport": {"groupsOnLabel": True},
    }
}
BODY = between((1, 4), (1, 21))
FIXED = "weight):\n    return weight * 4\n```"
CODE = "def rate(weight):\n    return weight * 3\n"


def chat(*answers: Any) -> ScriptedEngine:
    return ScriptedEngine(*answers, model=scripted_model("chat"))


def no_thoughts() -> dict[str, Any]:
    return {"explain": {"thinking_tokens": 0}}


async def actions(client: RawClient, uri: str, range_: dict[str, Any] = BODY) -> dict[str, Any]:
    """The actions at a place by title."""
    params = {"textDocument": {"uri": uri}, "range": range_, "context": {"diagnostics": []}}
    return {action["title"]: action for action in await client.result("textDocument/codeAction", params)}


def command(name: str, **arguments: Any) -> dict[str, Any]:
    return {"command": f"gemma-lsp.{name}", "arguments": [arguments]}


def answers(client: RawClient, id_: str) -> list[dict[str, Any]]:
    return [message for message in client.received("gemma-lsp/explain") if message["id"] == id_]
