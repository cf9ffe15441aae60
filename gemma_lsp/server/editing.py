"""From an action that edits to the editor: by `codeAction/resolve`, or by a command that ends in `workspace/applyEdit`.

Nothing is written to disk here, and nothing is sent that no longer fits the text. Event loop only.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from lsprotocol import types

from gemma_lsp.app.workspace import Place
from gemma_lsp.base.errors import Cancelled, EditError, GemmaLspError
from gemma_lsp.features.actions import Action, ExplainRequest, Proposal, run_action
from gemma_lsp.features.markdown import code, escaped, link
from gemma_lsp.features.telling import Explanation, Speech
from gemma_lsp.server.convert.edits import workspace_edit
from gemma_lsp.server.convert.uris import path_of, uri_of
from gemma_lsp.server.errors import LspError
from gemma_lsp.server.progress import Token
from gemma_lsp.server.session import Session
from gemma_lsp.server.telling import SHOW_LIMIT_S, Telling, tell
from gemma_lsp.workspace.mirror import OpenDocument

log = logging.getLogger(__name__)
APPLY, DISCARD = "Apply", "Discard"
_MOVED_ON = "the file has changed since; choose the action again"


async def made_edit(
    session: Session, action: Action, place: Place, request: ExplainRequest, speech: Speech
) -> Proposal:
    """What the action proposes, and its cost told. Raises `GemmaLspError`."""
    proposal = await session.app.answer(place.workspace, lambda ctx: run_action(ctx, action, request, speech))
    if speech.asked:
        session.answered("edit", proposal.cost, "model")
    return proposal


def sendable(session: Session, place: Place, uri: str, proposal: Proposal) -> types.WorkspaceEdit:
    """The edit for the client, against the text as it is now. Raises `EditError` where it does not fit any more."""
    root = place.workspace.root
    if proposal.path != place.path:
        if root is None:
            raise EditError("there is no workspace folder to put the tests into; open the folder")
        uri = uri_of(root / proposal.path)
    now = place.workspace.index.files.get(proposal.path)
    if proposal.creates:
        if now is not None or root is None or (root / proposal.path).exists():
            raise EditError(f"{proposal.path} exists already and is not overwritten")
        if not (root / proposal.path).resolve().is_relative_to(root.resolve()):
            raise EditError(f"{proposal.path} leads out of the workspace folder; nothing was changed")
        if not (session.client.creates_files and session.client.versioned_edits):
            raise EditError(f"this editor does not create files; create {proposal.path} and choose the action again")
        if place.workspace.snapshot.skipped.get(proposal.path):
            raise EditError(f"{proposal.path} is left out of the index; nothing was changed")
    elif now is None or now.text != proposal.base:
        raise EditError(_MOVED_ON)
    document = _document(session, place, uri, proposal)
    return workspace_edit(proposal, uri, document, session.positions, session.client)


async def run_edit(
    session: Session, action: Action, place: Place, request: ExplainRequest, *, id_: str, token: Token | None
) -> dict[str, Any] | None:
    """The command: shows the diff, then asks the client to apply it. Null where there is none, which was told."""
    made: list[Proposal] = []

    async def ask(speech: Speech) -> Explanation:
        made.append(await made_edit(session, action, place, request, speech))
        return explained(made[0], f"{place.workspace.root.as_uri()}/" if place.workspace.root else "")

    title = f"{action.title}: {place.path}"
    told = await tell(session, Telling(kind="edit", title=title, id=id_, token=token, quiet=True), ask)
    if told is None or not made:
        return None
    applied = await _apply(session, place, made[0])
    if applied and made[0].path != place.path and place.workspace.root is not None:
        await show_file(session, uri_of(place.workspace.root / made[0].path))
    return {"id": id_, "markdown": told["markdown"], "applied": applied, "cost": told["cost"]}


async def show_file(session: Session, uri: str) -> bool:
    """Brings a file of a workspace to the front, where the client can; an edit alone may leave it in the background."""
    path = path_of(uri)
    inside = path is not None and any(w.root and path.is_relative_to(w.root) for w in session.app.workspaces)
    there = path is not None and (session.app.documents.get(uri) is not None or path.is_file())
    if not (inside and there) or not (session.client.shows_documents or session.client.is_helix):
        return False
    try:
        async with asyncio.timeout(SHOW_LIMIT_S):
            params = types.ShowDocumentParams(uri=uri, external=False, take_focus=True)
            shown = await session.request(types.WINDOW_SHOW_DOCUMENT, params)
    except (LspError, TimeoutError):
        return False
    return shown is not None and bool(shown.success)


def explained(proposal: Proposal, base: str) -> Explanation:
    """The diff as a document."""
    first = proposal.base.position(proposal.edits[0].span.start).line + 1 if proposal.edits else 1
    place = code(proposal.path) + " (new)" if proposal.creates else link(proposal.path, first, base)
    diff = proposal.diff()
    fence = "`" * max(3, *(len(run) + 1 for run in _runs(diff)), 3)
    markdown = f"# {escaped(proposal.label)}\n\n{place}\n\n{fence}diff\n{diff}\n{fence}\n"
    return Explanation(
        markdown=markdown,
        thinking=proposal.thinking,
        citations=(),
        dropped_citations=0,
        cost=proposal.cost,
        words=diff,
    )


def report(session: Session, error: GemmaLspError) -> None:
    """Says once why there is no edit; of one that the person stopped, nothing."""
    if not isinstance(error, Cancelled):
        kind = types.MessageType.Warning if isinstance(error, EditError) else types.MessageType.Error
        session.say(kind, str(error))


async def _apply(session: Session, place: Place, proposal: Proposal) -> bool:
    """Asks the person where the editor does not, and the editor to apply it."""
    try:
        if not session.client.annotates_edits and not await _agreed(session, proposal):
            return False
        uri = _uri(session, place)
        edit = sendable(session, place, uri, proposal)
        params = types.ApplyWorkspaceEditParams(edit=edit, label=proposal.label)
        result = await session.request(types.WORKSPACE_APPLY_EDIT, params)
    except EditError as error:
        report(session, error)
        return False
    except LspError as error:
        session.say(types.MessageType.Warning, f"the editor did not apply the edit: {error.message}")
        return False
    if not result.applied and result.failure_reason:
        session.say(types.MessageType.Warning, f"the editor did not apply the edit: {result.failure_reason}")
    return bool(result.applied)


async def _agreed(session: Session, proposal: Proposal) -> bool:
    """Whether the person wants the edit; where the client cannot ask, choosing the command has said so."""
    actions = [types.MessageActionItem(APPLY), types.MessageActionItem(DISCARD)]
    params = types.ShowMessageRequestParams(types.MessageType.Info, f"gemma-lsp: {proposal.label}?", actions)
    try:
        chosen = await session.request(types.WINDOW_SHOW_MESSAGE_REQUEST, params)
    except LspError as error:
        log.info("the client does not ask its person: %s", error.message)
        return True
    return chosen is not None and chosen.title == APPLY


def _uri(session: Session, place: Place) -> str:
    """The document's own URI, as the editor spelt it; else the file's."""
    for document in session.app.documents:
        if session.app.place(document.uri) == place:
            return document.uri
    return uri_of(place.workspace.root / place.path) if place.workspace.root is not None else ""


def _document(session: Session, place: Place, uri: str, proposal: Proposal) -> OpenDocument | None:
    """The file of the proposal, if the editor has it open."""
    if proposal.path == place.path:
        return session.app.documents.get(uri)
    other = Place(place.workspace, proposal.path)
    return next((d for d in session.app.documents if session.app.place(d.uri) == other), None)


def _runs(text: str) -> list[str]:
    """The runs of backquotes in a text."""
    runs, at = [], text.find("`")
    while at >= 0:
        end = at
        while end < len(text) and text[end] == "`":
            end += 1
        runs.append(text[at:end])
        at = text.find("`", end)
    return runs
