"""textDocument/completion: the same suggestion for clients without inline completion.

A client that has inline completion gets none here unless it was asked for, lest the same text be offered twice.
Editors say "invoked" for every word that is typed, too; so a request counts as asked for if nothing was typed before.
"""

from __future__ import annotations

from collections.abc import Awaitable

from lsprotocol import types

from gemma_lsp.base.errors import EngineUnavailable, ModelError
from gemma_lsp.features.completion import completion_items
from gemma_lsp.features.context import FeatureContext
from gemma_lsp.server.convert import answers
from gemma_lsp.server.session import Session
from gemma_lsp.text import Position

NOTHING = types.CompletionList(is_incomplete=False, items=[])


def text_document_completion(
    session: Session, params: types.CompletionParams
) -> Awaitable[types.CompletionList] | types.CompletionList:
    """Takes the position at once; asks afterwards."""
    uri = params.text_document.uri
    asked_for = uri not in session.typed
    if session.client.inline_completion and not asked_for:
        return NOTHING
    session.latest.claim(("completion", uri), session.protocol.current)
    session.typed.discard(uri)
    document, place = session.app.documents.get(uri), session.app.place(uri)
    if document is None or place is None:
        return NOTHING
    position = session.positions.position(document.text, params.position)
    place.workspace.look_at(place.path, document.text.offset(position))
    ctx = session.app.context(place.workspace)
    if ctx is None:
        return NOTHING
    return _answer(session, ctx, place.path, position, invoked=asked_for)


async def _answer(
    session: Session, ctx: FeatureContext, path: str, position: Position, *, invoked: bool
) -> types.CompletionList:
    try:
        items = await completion_items(ctx, path, position, invoked)
    except (EngineUnavailable, ModelError):
        session.app.engine_lost()
        return NOTHING
    for item in items:
        if item.cost is not None:
            session.answered("completion", item.cost, "model")
    return types.CompletionList(is_incomplete=True, items=[answers.completion_item(item) for item in items])
