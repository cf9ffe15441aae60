"""textDocument/diagnostic and workspace/diagnostic: findings for clients that pull."""

from __future__ import annotations

from collections.abc import Awaitable

from lsprotocol import types

from gemma_lsp.server.errors import superseded
from gemma_lsp.server.reviews import result_id
from gemma_lsp.server.session import Session


def text_document_diagnostic(
    session: Session, params: types.DocumentDiagnosticParams
) -> Awaitable[types.DocumentDiagnosticReport]:
    """Answers once the document is quiet; of several pulls for it the last is answered."""
    session.latest.claim(("diagnostic", params.text_document.uri), session.protocol.current, superseded())
    return _answer(session, params.text_document.uri, params.previous_result_id)


async def _answer(session: Session, uri: str, previous: str | None) -> types.DocumentDiagnosticReport:
    _, found = await session.reviews.report(uri, ask=True)
    now = result_id(found)
    if now == previous:
        return types.RelatedUnchangedDocumentDiagnosticReport(result_id=now)
    return types.RelatedFullDocumentDiagnosticReport(items=found, result_id=now)


def workspace_diagnostic(
    session: Session, params: types.WorkspaceDiagnosticParams
) -> Awaitable[types.WorkspaceDiagnosticReport]:
    """What is known of the open documents: the model is asked for one document at a time, by `textDocument/diagnostic`.

    A client that gave a token for partial results gets each document's report as it is made.
    """
    return _answer_all(session, params)


async def _answer_all(session: Session, params: types.WorkspaceDiagnosticParams) -> types.WorkspaceDiagnosticReport:
    previous = {told.uri: told.value for told in params.previous_result_ids}
    whole = types.WorkspaceDiagnosticReport(items=[])
    for uri in dict.fromkeys([*(document.uri for document in session.app.documents), *previous]):
        version, found = await session.reviews.known(uri)
        if not found and uri not in previous:
            continue
        report = _of_workspace(uri, version, found, previous.get(uri))
        if params.partial_result_token is None:
            whole = types.WorkspaceDiagnosticReport(items=[*whole.items, report])
        else:
            part = types.WorkspaceDiagnosticReportPartialResult(items=[report])
            session.protocol.notify(types.PROGRESS, types.ProgressParams(params.partial_result_token, part))
    return whole


def _of_workspace(
    uri: str, version: int | None, found: list[types.Diagnostic], previous: str | None
) -> types.WorkspaceDocumentDiagnosticReport:
    """Of a document that was closed there are no findings any more, and the client is told so."""
    now = result_id(found)
    if now == previous:
        return types.WorkspaceUnchangedDocumentDiagnosticReport(uri=uri, version=version, result_id=now)
    return types.WorkspaceFullDocumentDiagnosticReport(uri=uri, version=version, items=found, result_id=now)
