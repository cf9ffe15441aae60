"""workspace/executeCommand: explain, ask, status."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from lsprotocol import types

from gemma_lsp.features.actions.explain import ExplainRequest, Reported, explain
from gemma_lsp.features.questions import ask
from gemma_lsp.server.capabilities import ASK, EXPLAIN, STATUS
from gemma_lsp.server.convert.arguments import AskArguments, ExplainArguments
from gemma_lsp.server.errors import invalid_params
from gemma_lsp.server.handlers.status import sentence, status
from gemma_lsp.server.progress import Token
from gemma_lsp.server.session import Session
from gemma_lsp.server.telling import Telling, tell

Result = Awaitable[Any] | Any


def workspace_execute_command(session: Session, params: types.ExecuteCommandParams) -> Result:
    """Finds the command; its arguments are checked before anything runs."""
    command = _COMMANDS.get(params.command)
    if command is None:
        raise invalid_params(f"no such command: {params.command}; there are {', '.join(sorted(_COMMANDS))}")
    return command(session, params.arguments or (), params.work_done_token)


def _explain(session: Session, arguments: Sequence[Any], token: Token | None) -> Result:
    """Explains a selection: the one in the arguments, else the one for which actions were listed last."""
    args = ExplainArguments.read(arguments, session.selection)
    document, place = session.app.documents.get(args.uri), session.app.place(args.uri)
    if not args.uri or document is None or place is None:
        session.fail("select the code to explain, in a file of the workspace, and choose the code action")
        return None
    request = ExplainRequest(
        path=place.path,
        span=session.positions.span(document.text, args.range),
        diagnostics=tuple(Reported(line=d.line, source=d.source, message=d.message) for d in args.diagnostics),
    )
    telling = Telling(kind="explain", title=f"Explain {place.path}", id=args.id or session.new_id(), token=token)
    answer = session.app.answer
    return tell(session, telling, lambda say: answer(place.workspace, lambda ctx: explain(ctx, request, say)))


def _ask(session: Session, arguments: Sequence[Any], token: Token | None) -> Result:
    """Answers a question about the repository of a document, or else about the first one."""
    args = AskArguments.read(arguments)
    place = session.app.place(args.uri)
    workspace = place.workspace if place is not None else next(iter(session.app.workspaces), None)
    if not args.question.strip() or workspace is None:
        session.fail("there is nothing to ask: give a question, and open a folder or a file")
        return None
    telling = Telling(kind="ask", title="Answer", id=args.id or session.new_id(), token=token)
    answer = session.app.answer
    return tell(session, telling, lambda say: answer(workspace, lambda ctx: ask(ctx, args.question, say)))


def _status(session: Session, arguments: Sequence[Any], token: Token | None) -> Result:
    """Says in one line how things stand."""
    session.say(types.MessageType.Info, sentence(session))
    return status(session, None)


_COMMANDS: dict[str, Callable[[Session, Sequence[Any], Token | None], Result]] = {
    EXPLAIN: _explain,
    ASK: _ask,
    STATUS: _status,
}
