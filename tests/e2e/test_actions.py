"""Actions with the real server, the real engine and a real model: whatever it says, what reaches the file is sound."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest_lsp
from lsprotocol import types
from pytest_lsp import ClientServerConfig, LanguageClient

from tests.e2e.server import COMMAND, LIMIT_S, OPTIONS, PARCELS, environment
from tests.e2e.test_editor import begin, capabilities, open_file, until_ready

CODE = '''def running_total(values):
    """Return the list of running sums of values."""
    result = []
    total = 0
    for value in values:
        total = value  # the last one
        result.append(total)
    return result


def largest(numbers):
    best = 0
    for n in numbers:
        if n > best:
            best = n
    return best


def mean(values):
    """Arithmetic mean of a list that is not empty."""
    raise NotImplementedError
'''
LINES = CODE.split("\n")
FIX_LINE = LINES.index("        total = value  # the last one")
SETTINGS = {**OPTIONS, "diagnostics": {"enabled": "off"}, "hover": {"enabled": True}}


@pytest_lsp.fixture(config=ClientServerConfig(server_command=COMMAND, server_env=environment()))
async def client(lsp_client: LanguageClient) -> AsyncIterator[None]:
    """An editor that resolves edits and confirms them, on a copy of the sample repository."""
    able = capabilities()
    assert able.text_document is not None
    assert able.workspace is not None
    able.text_document.code_action = types.CodeActionClientCapabilities(
        code_action_literal_support=types.ClientCodeActionLiteralOptions(
            code_action_kind=types.ClientCodeActionKindOptions(value_set=["", "quickfix", "refactor"])
        ),
        data_support=True,
        resolve_support=types.ClientCodeActionResolveOptions(properties=["edit"]),
    )
    able.workspace.workspace_edit = types.WorkspaceEditClientCapabilities(
        document_changes=True,
        resource_operations=[types.ResourceOperationKind.Create],
        change_annotation_support=types.ChangeAnnotationsSupportOptions(),
    )
    await begin(lsp_client, able, SETTINGS)
    await until_ready(lsp_client)
    yield
    await lsp_client.shutdown_session()


async def actions_at(client: LanguageClient, uri: str, line: int) -> dict[str, types.CodeAction]:
    """What is offered where one asks for it, by title."""
    place = types.Position(line, 8)
    params = types.CodeActionParams(
        text_document=types.TextDocumentIdentifier(uri),
        range=types.Range(place, place),
        context=types.CodeActionContext(diagnostics=[], trigger_kind=types.CodeActionTriggerKind.Invoked),
    )
    async with asyncio.timeout(LIMIT_S):
        offered = await client.text_document_code_action_async(params)
    return {action.title: action for action in offered or () if isinstance(action, types.CodeAction)}


def applied(text: str, change: types.TextDocumentEdit) -> str:
    """The text after edits that refer to it, last first; every one is annotated."""
    lines = text.encode().splitlines(keepends=True)
    starts = [sum(len(line) for line in lines[:n]) for n in range(len(lines) + 1)]
    data = text.encode()
    for edit in sorted(change.edits, key=lambda e: (e.range.start.line, e.range.start.character), reverse=True):
        assert isinstance(edit, types.AnnotatedTextEdit)
        start = starts[edit.range.start.line] + edit.range.start.character
        end = starts[edit.range.end.line] + edit.range.end.character
        data = data[:start] + edit.new_text.encode() + data[end:]
    return data.decode()


EDITS = (
    ("Fix this bug", FIX_LINE, "running_total"),
    ("Simplify this code", LINES.index("def largest(numbers):") + 1, "largest"),
    ("Write the docstring", LINES.index("def largest(numbers):") + 1, "largest"),
    ("Implement from signature and docstring", LINES.index("    raise NotImplementedError"), "mean"),
)


async def test_edits_apply_and_parse_and_stay_inside(client: LanguageClient) -> None:
    """Or there is none, and the person is told why; asked again it is the same."""
    uri = open_file(client, PARCELS / "parcels" / "sums.py", CODE)
    for title, line, definition in EDITS:
        action = (await actions_at(client, uri, line))[title]
        assert action.edit is None
        n_told = len(client.messages)
        async with asyncio.timeout(LIMIT_S):
            resolved = await client.code_action_resolve_async(action)
        if resolved.edit is None:
            (told,) = client.messages[n_told:]
            assert told.message.endswith("nothing was changed")
            continue
        async with asyncio.timeout(LIMIT_S):
            again = await client.code_action_resolve_async(action)
        assert again.edit == resolved.edit
        check_edit(resolved.edit, definition)


def check_edit(edit: types.WorkspaceEdit, definition: str) -> None:
    """Of the version it was made for, and of one definition alone."""
    assert edit.document_changes is not None
    (change,) = edit.document_changes
    assert isinstance(change, types.TextDocumentEdit)
    assert change.text_document.version == 1
    after = applied(CODE, change)
    before_by_name, after_by_name = definitions(CODE), definitions(after)
    assert before_by_name.keys() <= after_by_name.keys()
    for name, code in before_by_name.items():
        assert (after_by_name[name] == code) is (name != definition)


def definitions(text: str) -> dict[str, str]:
    """The source of each definition at the top of a module; raises where it does not parse."""
    return {node.name: ast.unparse(node) for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}


async def test_a_traceback_is_explained_and_followed_up(client: LanguageClient) -> None:
    """The place comes from the traceback; the follow-up knows what was said."""
    uri = open_file(client, PARCELS / "parcels" / "broken.py", CODE)
    del uri
    traceback = 'Traceback (most recent call last):\n  File "parcels/broken.py", line 12, in largest\nTypeError: no\n'
    first = await run(client, "explain", {"traceback": traceback, "id": "one"})
    assert first["markdown"].startswith("# Explain this bug: `largest`")
    second = await run(client, "ask", {"question": "With which input does it show?", "follows": "one", "id": "two"})
    assert second["cost"]["prompt"] > 0
    told = client.told  # type: ignore[attr-defined]
    assert [hasattr(message, "title") for message in told].count(True) == 2
    assert [message.id for message in told if getattr(message, "done", False)] == ["one", "two"]


async def test_an_answer_is_stopped(client: LanguageClient) -> None:
    """What there is of it is kept."""
    uri = open_file(client, PARCELS / "parcels" / "stopped.py", CODE)
    range_ = {"start": {"line": FIX_LINE, "character": 0}, "end": {"line": FIX_LINE + 1, "character": 0}}
    running = asyncio.ensure_future(run(client, "explain", {"uri": uri, "range": range_, "id": "s"}))
    async with asyncio.timeout(LIMIT_S):
        while sum(hasattr(m, "delta") for m in client.told) < 3:  # type: ignore[attr-defined]
            await asyncio.sleep(0.02)
    assert await run(client, "stop", {"id": "s"}) is True
    result = await running
    assert result["cancelled"] is True
    assert "*Stopped before the end.*" in result["markdown"]


async def test_hover_says_a_paragraph(client: LanguageClient) -> None:
    """About the function under the pointer, of whatever the model thinks of it."""
    uri = open_file(client, PARCELS / "parcels" / "pointed.py", CODE)
    params = types.HoverParams(types.TextDocumentIdentifier(uri), types.Position(0, 6))
    async with asyncio.timeout(LIMIT_S):
        told = await client.text_document_hover_async(params)
    assert told is not None
    assert isinstance(told.contents, types.MarkupContent)
    assert told.contents.value.strip()
    assert told.range == types.Range(types.Position(0, 4), types.Position(0, 17))


async def run(client: LanguageClient, command: str, arguments: dict[str, Any]) -> Any:
    """Runs one of our commands."""
    params = types.ExecuteCommandParams(f"gemma-lsp.{command}", [arguments])
    async with asyncio.timeout(LIMIT_S):
        return await client.workspace_execute_command_async(params)
