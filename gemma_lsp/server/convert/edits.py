"""An edit as each client can take it: versioned, annotated where the person can confirm it, in the file's line ends."""

from __future__ import annotations

from lsprotocol import types

from gemma_lsp.features.actions import Proposal
from gemma_lsp.server.client import Client
from gemma_lsp.server.convert.positions import Positions
from gemma_lsp.text import Edit
from gemma_lsp.workspace.mirror import OpenDocument

ANNOTATION = "gemma-lsp"

_Changes = types.TextDocumentEdit | types.CreateFile | types.RenameFile | types.DeleteFile


def workspace_edit(
    proposal: Proposal, uri: str, document: OpenDocument | None, positions: Positions, client: Client
) -> types.WorkspaceEdit:
    """`document`: the file as the editor has it open; None for one that it has not. Pure."""
    newline = "\r\n" if document is not None and "\r\n" in document.raw else "\n"
    annotated = client.annotates_edits
    edits = [_text_edit(edit, proposal, positions, newline, annotated=annotated) for edit in proposal.edits]
    if not client.versioned_edits:
        return types.WorkspaceEdit(changes={uri: [types.TextEdit(edit.range, edit.new_text) for edit in edits]})
    identifier = types.OptionalVersionedTextDocumentIdentifier(uri, document.version if document is not None else None)
    changes: list[_Changes] = [types.TextDocumentEdit(identifier, [*edits])]
    if proposal.creates:
        options = types.CreateFileOptions(overwrite=False, ignore_if_exists=False)
        changes.insert(0, types.CreateFile(uri, options=options, annotation_id=ANNOTATION if annotated else None))
    annotation = types.ChangeAnnotation(label=proposal.label, needs_confirmation=True, description=proposal.path)
    return types.WorkspaceEdit(
        document_changes=changes, change_annotations={ANNOTATION: annotation} if annotated else None
    )


def _text_edit(
    edit: Edit, proposal: Proposal, positions: Positions, newline: str, *, annotated: bool
) -> types.TextEdit | types.AnnotatedTextEdit:
    range_ = positions.to_range(proposal.base, edit.span)
    text = edit.text.replace("\n", newline)
    if annotated:
        return types.AnnotatedTextEdit(annotation_id=ANNOTATION, range=range_, new_text=text)
    return types.TextEdit(range_, text)
