"""The table of methods: complete, consistent with the protocol, and in agreement with what is advertised."""

from __future__ import annotations

import asyncio
import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from lsprotocol import types

from gemma_lsp.server.capabilities import COMMANDS, capabilities
from gemma_lsp.server.client import Client
from gemma_lsp.server.handlers import execute_command
from gemma_lsp.server.lanes import ROUTES
from gemma_lsp.server.protocol import is_request
from gemma_lsp.server.routes import Lane, Route
from gemma_lsp.server.session import Session
from tests.support.raw_client import INITIALIZE
from tests.support.scripted import ScriptedEngine


async def _factory(settings: Any) -> ScriptedEngine:
    return ScriptedEngine("x")


def session(**routes: Route) -> tuple[Session, list[dict[str, Any]]]:
    """A session in the running state, and what it sends."""
    made = Session(_factory, ROUTES)
    made.protocol.routes = {**ROUTES, **{name.replace("_", "/"): route for name, route in routes.items()}}
    sent: list[dict[str, Any]] = []
    made.protocol._send_data = sent.append  # type: ignore[method-assign]
    initialize = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": INITIALIZE}
    made.protocol.on_body(json.dumps(initialize).encode())
    sent.clear()
    return made, sent


def test_every_standard_method_is_one_of_the_protocol() -> None:
    """A typing mistake would never be answered."""
    ours = {method for method in ROUTES if method.startswith("gemma-lsp/")}
    assert ours == {"gemma-lsp/status"}
    assert set(ROUTES) - ours <= set(types.METHOD_TO_TYPES)


def test_no_handler_is_a_coroutine_function() -> None:
    """Each takes what it needs at once; a coroutine function would begin after later messages were handled."""
    assert not [method for method, route in ROUTES.items() if inspect.iscoroutinefunction(route.handler)]


def test_lanes_fit_the_kinds_of_methods() -> None:
    """Notifications are mutations, and nothing but requests may wait for the model."""
    for method, route in ROUTES.items():
        if not is_request(method):
            assert route.lane is Lane.MUTATE, method
        if route.lane in (Lane.MUTATE, Lane.READ):
            assert route.deadline_s is None, method


def test_what_is_advertised_is_served() -> None:
    """For a client that can do everything, and for one that can do nothing."""
    provided = {
        "completion_provider": types.TEXT_DOCUMENT_COMPLETION,
        "inline_completion_provider": types.TEXT_DOCUMENT_INLINE_COMPLETION,
        "code_action_provider": types.TEXT_DOCUMENT_CODE_ACTION,
        "execute_command_provider": types.WORKSPACE_EXECUTE_COMMAND,
        "diagnostic_provider": types.TEXT_DOCUMENT_DIAGNOSTIC,
        "hover_provider": types.TEXT_DOCUMENT_HOVER,
    }
    able = capabilities(Client(inline_completion=True, pulls_diagnostics=True))
    offered = {name for name in dir(able) if name.endswith("_provider") and getattr(able, name) is not None}
    assert offered == set(provided)
    assert all(method in ROUTES for method in provided.values())
    unable = capabilities(Client())
    assert unable.diagnostic_provider is None
    assert unable.inline_completion_provider is not None
    assert capabilities(Client(inline_dynamic=True)).inline_completion_provider is None


def test_the_server_does_not_load_the_model_library() -> None:
    """Neither llama.cpp nor numpy: the editor waits for these imports."""
    code = "import sys, gemma_lsp.server; sys.exit(any(name in sys.modules for name in ('llama_cpp', 'numpy')))"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, cwd=Path(__file__).parents[2])


def test_every_advertised_command_runs() -> None:
    """And no other does."""
    assert set(COMMANDS) == set(execute_command._COMMANDS)


async def test_a_deadline_answers_with_an_error() -> None:
    """Once, and the work is cancelled."""
    cancelled = asyncio.Event()

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    made, sent = session(test_slow=Route(lambda session, params: wait(), Lane.ENGINE, 0.01))
    made.protocol.on_body(b'{"jsonrpc":"2.0","id":1,"method":"test/slow"}')
    await asyncio.wait_for(cancelled.wait(), 10)
    await made.protocol.settle(10)
    assert [(m["id"], m["error"]["code"]) for m in sent] == [(1, types.LSPErrorCodes.RequestFailed)]


async def test_an_answer_in_time_stops_the_clock() -> None:
    """The deadline of an answered request does nothing."""

    async def answer() -> int:
        return 5

    made, sent = session(test_quick=Route(lambda session, params: answer(), Lane.ENGINE, 60.0))
    made.protocol.on_body(b'{"jsonrpc":"2.0","id":1,"method":"test/quick"}')
    await made.protocol.settle(10)
    await asyncio.sleep(0)
    assert sent == [{"jsonrpc": "2.0", "id": 1, "result": 5}]


async def test_work_that_finishes_although_cancelled_is_answered_once() -> None:
    """A handler may be too far to stop: then its result is the answer."""
    begun = asyncio.Event()

    async def stubborn() -> str:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "finished anyway"
        return "never"

    made, sent = session(test_stubborn=Route(lambda session, params: stubborn(), Lane.ENGINE))
    made.protocol.on_body(b'{"jsonrpc":"2.0","id":1,"method":"test/stubborn"}')
    await asyncio.wait_for(begun.wait(), 10)
    made.protocol.on_body(b'{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":1}}')
    await made.protocol.settle(10)
    await asyncio.sleep(0)
    assert sent == [{"jsonrpc": "2.0", "id": 1, "result": "finished anyway"}]
