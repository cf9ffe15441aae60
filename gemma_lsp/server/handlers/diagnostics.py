"""textDocument/diagnostic: findings for clients that pull."""

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
