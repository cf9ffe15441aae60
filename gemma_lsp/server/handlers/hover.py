"""textDocument/hover: a paragraph about a symbol, where the user wants it."""

from __future__ import annotations

from collections.abc import Awaitable

from lsprotocol import types

from gemma_lsp.app.workspace import Place
from gemma_lsp.base.errors import GemmaLspError
from gemma_lsp.features.context import FeatureContext
from gemma_lsp.features.hover import hover
from gemma_lsp.server.session import Session
from gemma_lsp.text import Text

Result = types.Hover | None


def text_document_hover(session: Session, params: types.HoverParams) -> Awaitable[Result] | Result:
    """Nothing while there is no model; of several requests for a document the last is answered."""
    uri = params.text_document.uri
    document, place = session.app.documents.get(uri), session.app.place(uri)
    if document is None or place is None or not place.workspace.settings.hover.enabled:
        return None
    session.latest.claim(("hover", uri), session.protocol.current)
    ctx = session.app.context(place.workspace)
    return _answer(session, ctx, place, document.text, params.position) if ctx is not None else None


async def _answer(session: Session, ctx: FeatureContext, place: Place, text: Text, position: types.Position) -> Result:
    try:
        described = await hover(ctx, place.path, session.positions.offset(text, position))
    except GemmaLspError:
        return None  # nobody asked for this by name: no error for moving the pointer
    if described is None:
        return None
    if described.cost is not None:
        session.answered("hover", described.cost, "model")
    content = types.MarkupContent(types.MarkupKind.Markdown, f"{described.markdown}\n\n*{ctx.model.name}*")
    return types.Hover(contents=content, range=session.positions.to_range(text, described.span))
