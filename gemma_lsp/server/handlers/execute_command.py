"""workspace/executeCommand: explain, ask, stop, dismiss, status, and the actions that edit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from lsprotocol import types

from gemma_lsp.app.workspace import Place
from gemma_lsp.features.actions.explain import TITLES, ExplainRequest, Reported, explain
from gemma_lsp.features.actions.tracebacks import place_in
from gemma_lsp.features.questions import About, ask
from gemma_lsp.server.capabilities import ASK, DISMISS, EDITS, EXPLAIN, SHOW, STATUS, STOP
from gemma_lsp.server.convert.arguments import AskArguments, ExplainArguments, NamedArguments
from gemma_lsp.server.editing import run_edit, show_file
from gemma_lsp.server.errors import invalid_params
from gemma_lsp.server.handlers.status import sentence, status
from gemma_lsp.server.progress import Token
from gemma_lsp.server.session import Session
from gemma_lsp.server.telling import Telling, tell
from gemma_lsp.text import Span

Result = Awaitable[Any] | Any
_NO_PLACE = "select the code in a file of the workspace, and choose the code action"


def workspace_execute_command(session: Session, params: types.ExecuteCommandParams) -> Result:
    """Finds the command; its arguments are checked before anything runs."""
    command = _COMMANDS.get(params.command)
    if command is None:
        raise invalid_params(f"no such command: {params.command}; there are {', '.join(sorted(_COMMANDS))}")
    return command(session, params.arguments or (), params.work_done_token)


def _explain(session: Session, arguments: Sequence[Any], token: Token | None) -> Result:
    """Explains a selection: the one in the arguments, else where the traceback points, else the one listed last."""
    args = ExplainArguments.read(arguments, session.selection)
    found = _request(session, args)
    if found is None:
        return None
    place, request = found
    title = f"{TITLES[request.question_kind]}: {place.path}"
    telling = Telling(kind="explain", title=title, id=args.id or session.new_id(), token=token, question=title)
    answer = session.app.answer
    return tell(session, telling, lambda speech: answer(place.workspace, lambda ctx: explain(ctx, request, speech)))


def _request(session: Session, args: ExplainArguments) -> tuple[Place, ExplainRequest] | None:
    """The place that is meant and what is asked about it; None where there is none, which the person is told."""
    document, place = session.app.documents.get(args.uri), session.app.place(args.uri)
    if document is not None and place is not None:
        span = session.positions.span(document.text, args.range)
    elif (frame := _frame(session, args)) is not None:
        place, span = frame
    else:
        session.fail(_NO_PLACE)
        return None
    reported = tuple(Reported(line=d.line, source=d.source, message=d.message) for d in args.diagnostics)
    return place, ExplainRequest(
        path=place.path, span=span, question_kind=args.about, diagnostics=reported, traceback=args.traceback
    )


def _frame(session: Session, args: ExplainArguments) -> tuple[Place, Span] | None:
    """The line that a traceback ends on, of the first workspace that has it."""
    for workspace in session.app.workspaces if args.traceback and not args.uri else ():
        found = place_in(args.traceback, workspace.index.files.keys())
        if found is not None:
            path, line = found
            start = workspace.index.files[path].text.line_span(line - 1).start
            return Place(workspace, path), Span(start, start)
    return None


def _ask(session: Session, arguments: Sequence[Any], token: Token | None) -> Result:
    """Answers a question about the repository of a document, or else about the first one."""
    args = AskArguments.read(arguments)
    document, place = session.app.documents.get(args.uri), session.app.place(args.uri)
    workspace = place.workspace if place is not None else next(iter(session.app.workspaces), None)
    if not args.question.strip() or workspace is None:
        session.fail("there is nothing to ask: give a question, and open a folder or a file")
        return None
    earlier = session.tellings.earlier(args.follows) if args.follows else ()
    if earlier is None:
        raise invalid_params(f"no answer with the id {args.follows} is remembered; ask without follows")
    selected = document is not None and place is not None and args.range is not None
    about = About(
        path=place.path if place is not None else "",
        span=session.positions.span(document.text, args.range) if selected and document and args.range else None,
        earlier=earlier,
    )
    telling = Telling(
        kind="ask",
        title="Answer",
        id=args.id or session.new_id(),
        token=token,
        question=args.question,
        earlier=earlier,
    )
    answer = session.app.answer
    return tell(session, telling, lambda speech: answer(workspace, lambda ctx: ask(ctx, args.question, speech, about)))


def _stop(session: Session, arguments: Sequence[Any], token: Token | None) -> Result:
    """Ends a running answer."""
    return session.tellings.stop(NamedArguments.read(arguments, "id").id)


def _dismiss(session: Session, arguments: Sequence[Any], token: Token | None) -> Result:
    """A finding is not to be shown again."""
    session.reviews.dismiss(NamedArguments.read(arguments, "digest").digest)
    return None


def _show(session: Session, arguments: Sequence[Any], token: Token | None) -> Result:
    """Brings a file to the front that an edit has made or changed."""
    return show_file(session, NamedArguments.read(arguments, "uri").uri)


def _status(session: Session, arguments: Sequence[Any], token: Token | None) -> Result:
    """Says in one line how things stand."""
    session.say(types.MessageType.Info, sentence(session))
    return status(session, None)


def _edit(name: str, session: Session, arguments: Sequence[Any], token: Token | None) -> Result:
    """Runs an action that edits, for clients that do not resolve it."""
    args = ExplainArguments.read(arguments, session.selection)
    found = _request(session, args)
    if found is None:
        return None
    place, request = found
    return run_edit(session, EDITS[name], place, request, id_=args.id or session.new_id(), token=token)


_COMMANDS: dict[str, Callable[[Session, Sequence[Any], Token | None], Result]] = {
    EXPLAIN: _explain,
    ASK: _ask,
    STOP: _stop,
    DISMISS: _dismiss,
    SHOW: _show,
    STATUS: _status,
    **{name: partial(_edit, name) for name in EDITS},
}
