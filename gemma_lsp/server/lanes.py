"""Every method that is served: its handler, its lane, and how long a client may wait. The one table."""

from __future__ import annotations

from lsprotocol import types

from gemma_lsp.server.handlers import (
    code_action,
    completion,
    diagnostics,
    documents,
    execute_command,
    hover,
    inline_completion,
    lifecycle,
    status,
    workspace,
)
from gemma_lsp.server.routes import Lane, Route, Routes

COMPLETION_LIMIT_S = 150.0  # above what completion.deadline_ms allows: the engine's own deadline comes first

ROUTES: Routes = {
    types.INITIALIZE: Route(lifecycle.initialize, Lane.MUTATE),
    types.INITIALIZED: Route(lifecycle.initialized, Lane.MUTATE),
    types.SHUTDOWN: Route(lifecycle.shutdown, Lane.BACKGROUND),
    types.SET_TRACE: Route(lifecycle.set_trace, Lane.MUTATE),
    types.TEXT_DOCUMENT_DID_OPEN: Route(documents.did_open, Lane.MUTATE),
    types.TEXT_DOCUMENT_DID_CHANGE: Route(documents.did_change, Lane.MUTATE),
    types.TEXT_DOCUMENT_DID_CLOSE: Route(documents.did_close, Lane.MUTATE),
    types.TEXT_DOCUMENT_DID_SAVE: Route(documents.did_save, Lane.MUTATE),
    types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS: Route(workspace.did_change_workspace_folders, Lane.MUTATE),
    types.WORKSPACE_DID_CHANGE_CONFIGURATION: Route(workspace.did_change_configuration, Lane.MUTATE),
    types.WORKSPACE_DID_CHANGE_WATCHED_FILES: Route(workspace.did_change_watched_files, Lane.MUTATE),
    types.WINDOW_WORK_DONE_PROGRESS_CANCEL: Route(workspace.work_done_progress_cancel, Lane.MUTATE),
    types.TEXT_DOCUMENT_CODE_ACTION: Route(code_action.text_document_code_action, Lane.READ),
    types.CODE_ACTION_RESOLVE: Route(code_action.code_action_resolve, Lane.ENGINE),
    "gemma-lsp/status": Route(status.status, Lane.READ),
    types.TEXT_DOCUMENT_INLINE_COMPLETION: Route(
        inline_completion.text_document_inline_completion, Lane.ENGINE, COMPLETION_LIMIT_S
    ),
    types.TEXT_DOCUMENT_COMPLETION: Route(completion.text_document_completion, Lane.ENGINE, COMPLETION_LIMIT_S),
    types.WORKSPACE_EXECUTE_COMMAND: Route(execute_command.workspace_execute_command, Lane.ENGINE),
    types.TEXT_DOCUMENT_HOVER: Route(hover.text_document_hover, Lane.ENGINE),
    types.TEXT_DOCUMENT_DIAGNOSTIC: Route(diagnostics.text_document_diagnostic, Lane.BACKGROUND),
    types.WORKSPACE_DIAGNOSTIC: Route(diagnostics.workspace_diagnostic, Lane.BACKGROUND),
}
