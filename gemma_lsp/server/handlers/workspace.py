"""Folders, settings and files as they change."""

from __future__ import annotations

from typing import Any

from lsprotocol import types

from gemma_lsp.server.convert.uris import path_of
from gemma_lsp.server.session import Session


def did_change_workspace_folders(session: Session, params: types.DidChangeWorkspaceFoldersParams) -> None:
    """Folders come and go; the documents in them move."""
    for folder in params.event.removed:
        path = path_of(folder.uri)
        if path is not None:
            session.spawn(session.app.remove_folder(path))
    for folder in params.event.added:
        path = path_of(folder.uri)
        if path is not None:
            session.app.add_folder(path, folder.name or path.name)


def did_change_configuration(session: Session, params: types.DidChangeConfigurationParams) -> None:
    """Asks for the settings where the client can be asked, and takes what it sent where not."""
    session.spawn(session.configure(_plain(params.settings)))


def did_change_watched_files(session: Session, params: types.DidChangeWatchedFilesParams) -> None:
    """Files changed on disk."""
    paths = [path for event in params.changes if (path := path_of(event.uri)) is not None]
    session.app.files_changed(paths)


def work_done_progress_cancel(session: Session, params: types.WorkDoneProgressCancelParams) -> None:
    """The person wants something stopped."""
    session.progresses.cancel(params.token)


def _plain(settings: Any) -> Any:
    return settings if isinstance(settings, dict) and settings else None
