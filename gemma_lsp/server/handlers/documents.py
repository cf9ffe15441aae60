"""didOpen, didChange, didClose, didSave: the editor's text becomes the app's."""

from __future__ import annotations

from lsprotocol import types

from gemma_lsp.server.convert.positions import raw_change
from gemma_lsp.server.convert.uris import path_of
from gemma_lsp.server.session import Session


def did_open(session: Session, params: types.DidOpenTextDocumentParams) -> None:
    """A document is the editor's from here on."""
    document = params.text_document
    path = path_of(document.uri)
    session.app.open(document.uri, path, str(document.language_id), document.version, document.text)
    session.reviews.opened(document.uri)


def did_change(session: Session, params: types.DidChangeTextDocumentParams) -> None:
    """Whatever was asked about the text before is stale."""
    uri = params.text_document.uri
    changes = [raw_change(change) for change in params.content_changes]
    session.app.change(uri, params.text_document.version, changes, session.positions.encoding)
    session.latest.drop(("completion", uri))
    session.typed.add(uri)
    session.reviews.edited(uri)


def did_close(session: Session, params: types.DidCloseTextDocumentParams) -> None:
    """A document is the disk's again."""
    uri = params.text_document.uri
    session.app.close_document(uri)
    session.latest.drop(("completion", uri))
    session.latest.drop(("diagnostic", uri))
    session.typed.discard(uri)
    session.reviews.closed(uri)


def did_save(session: Session, params: types.DidSaveTextDocumentParams) -> None:
    """A good moment for a review."""
    session.reviews.opened(params.text_document.uri)
