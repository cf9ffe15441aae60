"""An editor, the real server process, the real engine process and a real model, through pytest-lsp's client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_lsp
from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pytest_lsp import ClientServerConfig, LanguageClient

from tests.e2e.server import COMMAND, LIMIT_S, OPTIONS, PARCELS, environment

PARCEL_PY = PARCELS / "parcels" / "parcel.py"
UNITS_PY = PARCELS / "parcels" / "units.py"
MORE = "\n\nclass Box(Dimensions):\n    @property\n    def litres(self) -> float:\n        return self."


@pytest_lsp.fixture(config=ClientServerConfig(server_command=COMMAND, server_env=environment()))
async def client(lsp_client: LanguageClient) -> AsyncIterator[None]:
    """An editor that can do everything this server uses, on a copy of the sample repository."""
    await begin(lsp_client, capabilities(), OPTIONS)
    yield
    await lsp_client.shutdown_session()


async def begin(client: LanguageClient, able: types.ClientCapabilities, options: dict[str, Any]) -> None:
    """A session in the sample repository."""
    listen(client)
    await client.initialize_session(
        types.InitializeParams(
            capabilities=able,
            root_uri=PARCELS.as_uri(),
            workspace_folders=[types.WorkspaceFolder(uri=PARCELS.as_uri(), name="parcels")],
            initialization_options=options,
        )
    )


def capabilities() -> types.ClientCapabilities:
    return types.ClientCapabilities(
        general=types.GeneralClientCapabilities(position_encodings=[types.PositionEncodingKind.Utf8]),
        text_document=types.TextDocumentClientCapabilities(
            inline_completion=types.InlineCompletionClientCapabilities(),
            diagnostic=types.DiagnosticClientCapabilities(),
            code_action=types.CodeActionClientCapabilities(
                code_action_literal_support=types.ClientCodeActionLiteralOptions(
                    code_action_kind=types.ClientCodeActionKindOptions(value_set=["", "quickfix"])
                )
            ),
        ),
        window=types.WindowClientCapabilities(
            work_done_progress=True, show_document=types.ShowDocumentClientCapabilities(support=True)
        ),
        workspace=types.WorkspaceClientCapabilities(
            configuration=True,
            did_change_watched_files=types.DidChangeWatchedFilesClientCapabilities(dynamic_registration=True),
        ),
        experimental={"gemmaLsp": {"stream": True, "cost": True}},
    )


def listen(client: LanguageClient) -> None:
    """Keeps what pytest-lsp's client does not know."""
    client.costs = []  # type: ignore[attr-defined]
    client.told = []  # type: ignore[attr-defined]
    client.registered = []  # type: ignore[attr-defined]

    @client.feature("gemma-lsp/cost")
    def on_cost(params: Any) -> None:
        client.costs.append(params)  # type: ignore[attr-defined]

    @client.feature("gemma-lsp/explain")
    def on_explain(params: Any) -> None:
        client.told.append(params)  # type: ignore[attr-defined]

    @client.feature(types.CLIENT_REGISTER_CAPABILITY)
    def on_register(params: types.RegistrationParams) -> None:
        client.registered += [registration.method for registration in params.registrations]  # type: ignore[attr-defined]


async def until_ready(client: LanguageClient) -> Any:
    """Waits until the repository is resident; returns the status."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            status = await client.protocol.send_request_async("gemma-lsp/status", {})
            state = status.workspaces[0].state
            assert state != "failed", status.workspaces[0].error
            if state == "ready":
                return status
            await asyncio.sleep(0.1)


def open_file(client: LanguageClient, path: Path, text: str) -> str:
    document = types.TextDocumentItem(uri=path.as_uri(), language_id="python", version=1, text=text)
    client.text_document_did_open(types.DidOpenTextDocumentParams(document))
    return path.as_uri()


def append(client: LanguageClient, uri: str, text: str, more: str, version: int) -> str:
    """Types at the end of a document; returns its text."""
    lines = text.split("\n")
    end = types.Position(len(lines) - 1, len(lines[-1].encode()))
    change = types.TextDocumentContentChangePartial(range=types.Range(end, end), text=more)
    identifier = types.VersionedTextDocumentIdentifier(version=version, uri=uri)
    client.text_document_did_change(types.DidChangeTextDocumentParams(identifier, [change]))
    return text + more


async def complete(client: LanguageClient, uri: str, text: str) -> list[types.InlineCompletionItem]:
    """Asks for a completion at the end of a document."""
    lines = text.split("\n")
    params = types.InlineCompletionParams(
        context=types.InlineCompletionContext(types.InlineCompletionTriggerKind.Invoked),
        text_document=types.TextDocumentIdentifier(uri),
        position=types.Position(len(lines) - 1, len(lines[-1].encode())),
    )
    async with asyncio.timeout(LIMIT_S):
        answer = await client.text_document_inline_completion_async(params)
    assert isinstance(answer, types.InlineCompletionList)
    return list(answer.items)


def last_cost(client: LanguageClient) -> Any:
    return client.costs[-1].cost  # type: ignore[attr-defined]


async def test_the_repository_becomes_resident(client: LanguageClient) -> None:
    """With progress from begin to end, within the budget, and by what the client registered for us."""
    status = await until_ready(client)
    assert status.workspaces[0].files > 15
    assert 0 < status.workspaces[0].bodyTokens <= OPTIONS["index"]["budget_tokens"]
    assert status.workspaces[0].residentTokens >= status.workspaces[0].bodyTokens
    reading = client.progress_reports["gemma-lsp: reading parcels"]
    assert [type(reading[0]), type(reading[-1])] == [types.WorkDoneProgressBegin, types.WorkDoneProgressEnd]
    assert client.registered == ["workspace/didChangeWatchedFiles"]  # type: ignore[attr-defined]
    assert client.messages == []


async def test_completion_and_an_edit_elsewhere(client: LanguageClient) -> None:
    """A completion evaluates its own tail; typing along nothing; an edit in another file what it tells, once."""
    await until_ready(client)
    text = PARCEL_PY.read_text()
    uri = open_file(client, PARCEL_PY, text)
    text = append(client, uri, text, MORE, version=2)
    (item,) = await complete(client, uri, text)
    assert item.insert_text.strip()
    first = last_cost(client)
    assert first.reused > 0
    assert not hasattr(first.evaluatedByRegion, "body")

    n_costs = len(client.costs)  # type: ignore[attr-defined]
    text = append(client, uri, text, item.insert_text[:2], version=3)
    (rest,) = await complete(client, uri, text)
    assert rest.insert_text == item.insert_text[2:]
    assert len(client.costs) == n_costs  # type: ignore[attr-defined]

    other = open_file(client, UNITS_PY, UNITS_PY.read_text())
    append(client, other, UNITS_PY.read_text(), "\n\nLITRES_PER_CM3 = 0.001\n", version=2)
    text = append(client, uri, text, " ", version=4)
    await complete(client, uri, text)
    told = last_cost(client)
    assert told.evaluatedByRegion.errata > 0
    text = append(client, uri, text, " ", version=5)
    await complete(client, uri, text)
    assert not hasattr(last_cost(client).evaluatedByRegion, "errata")


async def test_explain_streams_and_can_be_cancelled(client: LanguageClient) -> None:
    """A selection is explained; then the same cancelled, after which the engine is free at once."""
    await until_ready(client)
    text = PARCEL_PY.read_text()
    uri = open_file(client, PARCEL_PY, text)
    line = next(n for n, content in enumerate(text.split("\n")) if "def volume_cm3" in content)
    range_ = {"start": {"line": line, "character": 0}, "end": {"line": line + 3, "character": 0}}
    command = types.ExecuteCommandParams("gemma-lsp.explain", [{"uri": uri, "range": range_}])
    async with asyncio.timeout(LIMIT_S):
        result = await client.workspace_execute_command_async(command)
    told = client.told  # type: ignore[attr-defined]
    assert len([message for message in told if hasattr(message, "delta")]) > 1
    assert told[-1].done is True
    assert told[-1].markdown == result["markdown"]
    assert result["markdown"].startswith("# Explain this bug: `Dimensions.volume_cm3`")
    assert "parcel.py" in result["markdown"]
    assert result["cost"]["generated"] > 0

    n_told = len(told)
    future = client.protocol.send_request("workspace/executeCommand", command, msg_id="to be cancelled")
    async with asyncio.timeout(LIMIT_S):
        while len(told) == n_told:
            await asyncio.sleep(0.02)
    client.cancel_request(types.CancelParams(id="to be cancelled"))
    with pytest.raises(JsonRpcException) as error:
        await asyncio.wait_for(asyncio.wrap_future(future), LIMIT_S)
    assert error.value.code == types.LSPErrorCodes.RequestCancelled
    assert await complete(client, uri, append(client, uri, text, MORE, version=2))


async def test_diagnostics_have_exact_ranges(client: LanguageClient) -> None:
    """Whatever a small model finds: each finding covers text that is there; asked again, nothing has changed."""
    await until_ready(client)
    text = "def half(n: int) -> int:\n    return n * 2\n\n\ndef twice(n: int) -> int:\n    return n // 2\n"
    uri = open_file(client, PARCELS / "parcels" / "halves.py", text)
    params = types.DocumentDiagnosticParams(text_document=types.TextDocumentIdentifier(uri))
    async with asyncio.timeout(LIMIT_S):
        report = await client.text_document_diagnostic_async(params)
    assert isinstance(report, types.RelatedFullDocumentDiagnosticReport)
    lines = text.split("\n")
    for found in report.items:
        assert found.source == "gemma-lsp"
        assert found.range.start.line == found.range.end.line
        covered = lines[found.range.start.line][found.range.start.character : found.range.end.character]
        assert covered == covered.strip()
        assert covered
    params.previous_result_id = report.result_id
    async with asyncio.timeout(LIMIT_S):
        again = await client.text_document_diagnostic_async(params)
    assert isinstance(again, types.RelatedUnchangedDocumentDiagnosticReport)
