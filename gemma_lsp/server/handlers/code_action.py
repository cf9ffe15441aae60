"""textDocument/codeAction and codeAction/resolve: which actions there are here. No model is asked."""

from __future__ import annotations

from typing import Any

from lsprotocol import types

from gemma_lsp.app.workspace import Place
from gemma_lsp.features.actions import Action, Facts, offered_actions
from gemma_lsp.server.capabilities import EXPLAIN
from gemma_lsp.server.convert import answers
from gemma_lsp.server.session import Session
from gemma_lsp.syntax.context import innermost
from gemma_lsp.text import Span, Text

_COMMANDS = {"explain-bug": EXPLAIN}


def text_document_code_action(session: Session, params: types.CodeActionParams) -> list[types.CodeAction] | None:
    """The actions that make sense for the range."""
    uri = params.text_document.uri
    document, place = session.app.documents.get(uri), session.app.place(uri)
    if document is None or place is None:
        return None
    session.selection = (uri, params.range)
    span = session.positions.span(document.text, params.range)
    foreign = [d for d in params.context.diagnostics if d.source != answers.SOURCE]
    if _unasked(params.context) and span.start == span.end and not params.context.diagnostics:
        return []  # no light bulb on every line
    facts = _facts(place, document.text, span, len(params.context.diagnostics))
    if facts is None:
        return []
    actions = [_action(action, params, foreign) for action in offered_actions(facts)]
    return [action for action in actions if _wanted(action, params.context.only)]


def code_action_resolve(session: Session, params: types.CodeAction) -> types.CodeAction:
    """Every action is complete as it was offered: clients resolve all of them, some twice."""
    return params


def _facts(place: Place, text: Text, span: Span, n_diagnostics: int) -> Facts | None:
    parsed = place.workspace.index.files.get(place.path)
    if parsed is None:
        return None
    symbol = innermost(parsed, span.start)
    return Facts(
        path=place.path,
        language=parsed.language,
        selected=bool(text.slice(span).strip()),
        symbol=symbol.qualified if symbol else "",
        n_diagnostics=n_diagnostics,
    )


def _action(action: Action, params: types.CodeActionParams, foreign: list[types.Diagnostic]) -> types.CodeAction:
    argument: dict[str, Any] = {
        "uri": params.text_document.uri,
        "range": {
            "start": {"line": params.range.start.line, "character": params.range.start.character},
            "end": {"line": params.range.end.line, "character": params.range.end.character},
        },
        "diagnostics": [
            {"line": d.range.start.line, "source": d.source or "", "message": d.message}
            for d in foreign
        ],
    }
    command = types.Command(title=action.title, command=_COMMANDS[action.id], arguments=[argument])
    return types.CodeAction(
        title=action.title,
        kind=action.kind,
        diagnostics=list(params.context.diagnostics) or None,
        command=command,
    )


def _unasked(context: types.CodeActionContext) -> bool:
    return context.trigger_kind == types.CodeActionTriggerKind.Automatic


def _wanted(action: types.CodeAction, only: Any) -> bool:
    """Kinds are a hierarchy: `quickfix` asks for `quickfix.x`, too."""
    kind = str(getattr(action.kind, "value", action.kind) or "")
    names = [str(getattr(name, "value", name)) for name in only or ()]
    return not names or any(not name or kind == name or kind.startswith(f"{name}.") for name in names)
