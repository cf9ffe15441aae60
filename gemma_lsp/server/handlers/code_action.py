"""textDocument/codeAction and codeAction/resolve: which actions there are here, and the edit of the one chosen.

Listing asks no model. Resolving does; the same action is resolved to the same edit as long as the code is the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any

from lsprotocol import types

from gemma_lsp.app.tasks import unless_stopped
from gemma_lsp.app.workspace import Place
from gemma_lsp.base.errors import EditError, GemmaLspError
from gemma_lsp.features.actions import (
    Action,
    Answer,
    ExplainRequest,
    Facts,
    edit_action,
    facts_at,
    offered_actions,
)
from gemma_lsp.features.actions.explain import Reported
from gemma_lsp.features.actions.places import path_of_tests
from gemma_lsp.features.diagnostics import fix_of
from gemma_lsp.features.telling import Speech
from gemma_lsp.prompt.tails import Asked
from gemma_lsp.server.capabilities import DISMISS, SHOW
from gemma_lsp.server.convert import answers
from gemma_lsp.server.convert.arguments import ExplainArguments
from gemma_lsp.server.convert.uris import uri_of
from gemma_lsp.server.editing import made_edit, report, sendable
from gemma_lsp.server.session import Session
from gemma_lsp.text import Span, Text
from gemma_lsp.workspace.mirror import OpenDocument

_DISMISS = "Do not show this finding again"
_ABOUT = {"explain-code": Asked.CODE, "explain-diagnostic": Asked.DIAGNOSTIC}


def text_document_code_action(session: Session, params: types.CodeActionParams) -> list[types.CodeAction] | None:
    """The actions that make sense for the range."""
    uri = params.text_document.uri
    document, place = session.app.documents.get(uri), session.app.place(uri)
    if document is None or place is None:
        return None
    session.selection = (uri, params.range)
    span = session.positions.span(document.text, params.range)
    actions = _about_findings(session, place, document, params)
    parsed = place.workspace.index.files.get(place.path)
    unasked = _unasked(params.context) and span.start == span.end and not params.context.diagnostics
    if parsed is None or unasked:  # no light bulb on every line
        return [action for action in actions if _wanted(action, params.context.only)]
    facts = facts_at(parsed, span, len(params.context.diagnostics))
    for action in offered_actions(facts):
        if _possible(session, action, place):
            actions.append(_action(session, action, facts, params, document.version, place))
    return [action for action in actions if _wanted(action, params.context.only)]


def code_action_resolve(session: Session, params: types.CodeAction) -> Awaitable[types.CodeAction] | types.CodeAction:
    """The action with its edit; as it came where it has one, needs none, or none can be made, which is said."""
    data = params.data
    action = edit_action(str(data.get("action", ""))) if isinstance(data, Mapping) else None
    if action is None or params.edit is not None or not isinstance(data, Mapping):
        return params
    args = ExplainArguments.read([data], None)
    document, place = session.app.documents.get(args.uri), session.app.place(args.uri)
    if document is None or place is None or document.version != data.get("version"):
        report(session, EditError("the file has changed since; choose the action again"))
        return params
    request = ExplainRequest(
        path=place.path,
        span=session.positions.span(document.text, args.range),
        diagnostics=tuple(Reported(line=d.line, source=d.source, message=d.message) for d in args.diagnostics),
    )
    return _resolved(session, params, action, place, request, args.uri)


async def _resolved(
    session: Session, params: types.CodeAction, action: Action, place: Place, request: ExplainRequest, uri: str
) -> types.CodeAction:
    said: list[str] = []

    def on_delta(delta: str) -> None:
        said.append(delta)
        view.report(f"{sum(map(len, said))} characters")

    task = asyncio.create_task(made_edit(session, action, place, request, Speech(on_delta)))
    view = session.begin_task(params.title, task.cancel)
    try:
        proposal = await unless_stopped(task)
        if proposal is not None:
            params.edit = sendable(session, place, uri, proposal)
    except GemmaLspError as error:
        report(session, error)
    finally:
        view.end("stopped" if task.cancelled() else "done")
    return params


def _action(
    session: Session, action: Action, facts: Facts, params: types.CodeActionParams, version: int, place: Place
) -> types.CodeAction:
    foreign = [d for d in params.context.diagnostics if d.source != answers.SOURCE]
    told = foreign if action.id not in ("fix-bug", "explain-diagnostic") else params.context.diagnostics
    argument: dict[str, Any] = {
        "uri": params.text_document.uri,
        "range": answers.plain_range(params.range),
        "diagnostics": [{"line": d.range.start.line, "source": d.source or "", "message": d.message} for d in told],
    }
    if action.id in _ABOUT:
        argument["about"] = str(_ABOUT[action.id])
    title = action.titled(facts)
    on_diagnostics = (action.kind == "quickfix" and list(params.context.diagnostics)) or None
    made = types.CodeAction(title=title, kind=action.kind, diagnostics=on_diagnostics)
    if action.answer is Answer.EDIT and session.client.resolves_edits:
        made.data = {"action": action.id, "version": version, **argument}
        if action.id == "test" and place.workspace.root is not None:
            path = path_of_tests(place.workspace.index, place.path)
            tests = uri_of(place.workspace.root / path)
            made.command = types.Command(title="Show the tests", command=SHOW, arguments=[{"uri": tests}])
    else:
        made.command = types.Command(title=title, command=f"gemma-lsp.{action.command}", arguments=[argument])
    return made


def _about_findings(
    session: Session, place: Place, document: OpenDocument, params: types.CodeActionParams
) -> list[types.CodeAction]:
    """The fix that confirmed a finding, and the wish not to see it again; anywhere on its lines."""
    made = []
    span = _whole_lines(document.text, session.positions.span(document.text, params.range))
    ctx = session.app.context(place.workspace)
    named = {d.data.get("digest") for d in params.context.diagnostics if isinstance(d.data, Mapping)}
    for finding in session.reviews.findings(place) if ctx is not None else ():
        if not (ctx and (finding.span.touches(span) or finding.digest in named)):
            continue
        severity = place.workspace.settings.diagnostics.severity
        told = answers.diagnostics([finding], document.text, session.positions, severity)
        fix = types.CodeAction(title=f"Fix: {finding.message}", kind="quickfix", diagnostics=told)
        fix.edit = sendable(session, place, document.uri, fix_of(ctx, finding))
        argument = {"uri": document.uri, "digest": finding.digest}
        dismiss = types.Command(title=_DISMISS, command=DISMISS, arguments=[argument])
        made += [fix, types.CodeAction(title=_DISMISS, kind="quickfix", diagnostics=told, command=dismiss)]
    return made


def _whole_lines(text: Text, span: Span) -> Span:
    first, last = text.position(span.start).line, text.position(span.end).line
    return Span(text.line_span(first).start, text.line_span(last).end)


def _possible(session: Session, action: Action, place: Place) -> bool:
    """Whether this client and this folder can take what the action gives."""
    client = session.client
    if action.answer is Answer.WORDS:
        return True
    if not (client.resolves_edits or client.applies_edits):
        return False
    creates = client.creates_files and client.versioned_edits and place.workspace.root is not None
    return action.id != "test" or creates


def _unasked(context: types.CodeActionContext) -> bool:
    return context.trigger_kind == types.CodeActionTriggerKind.Automatic


def _wanted(action: types.CodeAction, only: Any) -> bool:
    """Kinds are a hierarchy: `quickfix` asks for `quickfix.x`, too."""
    kind = str(getattr(action.kind, "value", action.kind) or "")
    names = [str(getattr(name, "value", name)) for name in only or ()]
    return not names or any(not name or kind == name or kind.startswith(f"{name}.") for name in names)
