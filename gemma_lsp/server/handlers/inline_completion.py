"""textDocument/inlineCompletion (3.18): ghost text."""

from __future__ import annotations

from collections.abc import Awaitable

from lsprotocol import types

from gemma_lsp.app.workspace import Place
from gemma_lsp.base.errors import EngineUnavailable, ModelError
from gemma_lsp.features.context import FeatureContext
from gemma_lsp.features.inline import InlineRequest, inline_completion
from gemma_lsp.server.convert import answers
from gemma_lsp.server.session import Session
from gemma_lsp.text import Position, Text

Result = types.InlineCompletionList | None


def text_document_inline_completion(
    session: Session, params: types.InlineCompletionParams
) -> Awaitable[Result] | Result:
    """The older request of the document is stale from here on, whatever the client does about it."""
    uri = params.text_document.uri
    session.latest.claim(("completion", uri), session.protocol.current)
    session.typed.discard(uri)
    document, place = session.app.documents.get(uri), session.app.place(uri)
    if document is None or place is None:
        return None
    position = session.positions.position(document.text, params.position)
    place.workspace.look_at(place.path, document.text.offset(position))
    ctx = session.app.context(place.workspace)
    if ctx is None:
        return None
    invoked = params.context.trigger_kind == types.InlineCompletionTriggerKind.Invoked
    request = InlineRequest(path=place.path, position=position, invoked=invoked, version=document.version)
    return _answer(session, ctx, place, request, document.text, position)


async def _answer(
    session: Session, ctx: FeatureContext, place: Place, request: InlineRequest, text: Text, position: Position
) -> Result:
    try:
        answer = await inline_completion(ctx, request)
    except (EngineUnavailable, ModelError):
        session.app.engine_lost()
        return None  # nobody asked for this answer: no error on every key
    if answer.cost is not None:
        session.answered("inlineCompletion", answer.cost, answer.reason)
    items = [answers.inline_item(item, text, position, session.positions, session.client) for item in answer.items]
    return types.InlineCompletionList(items)
