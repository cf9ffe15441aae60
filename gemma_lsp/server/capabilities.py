"""What the server says it can do, for one client. Pure."""

from __future__ import annotations

from lsprotocol import types

from gemma_lsp.features.actions import ACTIONS, Answer
from gemma_lsp.server.client import Client

EXPLAIN = "gemma-lsp.explain"
ASK = "gemma-lsp.ask"
STOP = "gemma-lsp.stop"
DISMISS = "gemma-lsp.dismiss"
SHOW = "gemma-lsp.show"
STATUS = "gemma-lsp.status"
EDITS = {f"gemma-lsp.{action.command}": action for action in ACTIONS if action.answer is Answer.EDIT}
"""The commands that end in an edit, each with its action."""

COMMANDS = (EXPLAIN, ASK, STOP, DISMISS, SHOW, STATUS, *EDITS)


def capabilities(client: Client) -> types.ServerCapabilities:
    """Everything is said here, but for what the client prefers to be told later."""
    return types.ServerCapabilities(
        position_encoding=types.PositionEncodingKind(client.encoding.value),
        text_document_sync=types.TextDocumentSyncOptions(
            open_close=True,
            change=types.TextDocumentSyncKind.Incremental,
            save=types.SaveOptions(include_text=False),
        ),
        completion_provider=types.CompletionOptions(resolve_provider=False),
        inline_completion_provider=types.InlineCompletionOptions() if not client.inline_dynamic else None,
        hover_provider=types.HoverOptions() if not client.hover_dynamic else None,
        code_action_provider=types.CodeActionOptions(
            code_action_kinds=sorted({action.kind for action in ACTIONS}), resolve_provider=True
        ),
        execute_command_provider=types.ExecuteCommandOptions(commands=list(COMMANDS), work_done_progress=True),
        diagnostic_provider=types.DiagnosticOptions(
            inter_file_dependencies=True, workspace_diagnostics=True, identifier="gemma-lsp"
        )
        if client.pulls_diagnostics
        else None,
        workspace=types.WorkspaceOptions(
            workspace_folders=types.WorkspaceFoldersServerCapabilities(supported=True, change_notifications=True)
        ),
        experimental={"gemmaLsp": {"stream": True, "cost": True, "status": True}},
    )
