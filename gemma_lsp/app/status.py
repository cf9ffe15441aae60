"""The app's state as plain JSON, for people and for the demo; docs/protocol.md lists the members."""

from __future__ import annotations

from typing import Any

from gemma_lsp.app.engine_host import EngineHost
from gemma_lsp.app.reading import seconds_left
from gemma_lsp.app.workspace import Workspace
from gemma_lsp.engine.messages import ModelInfo, Progress


def status(engine: EngineHost, workspaces: tuple[Workspace, ...]) -> dict[str, Any]:
    """Engine, model and workspaces as they stand."""
    return {
        "engine": {"state": str(engine.state), "error": engine.error},
        "model": _model(engine.model) if engine.model is not None else None,
        "workspaces": [_workspace(workspace) for workspace in workspaces],
    }


def _model(model: ModelInfo) -> dict[str, Any]:
    return {
        "name": model.name,
        "path": model.path,
        "architecture": model.architecture,
        "contextTokens": model.n_ctx,
        "chat": bool(model.chat_template),
        "devices": list(model.devices),
    }


def _workspace(workspace: Workspace) -> dict[str, Any]:
    resident = workspace.resident
    return {
        "name": workspace.name,
        "root": str(workspace.root) if workspace.root else None,
        "state": str(workspace.phase),
        "error": workspace.error,
        "files": len(workspace.index.files),
        "bodyTokens": resident.layout.n_tokens if resident else 0,
        "residentTokens": workspace.warmed_tokens,
        "progress": _progress(workspace.progress) if workspace.progress is not None else None,
    }


def _progress(progress: Progress) -> dict[str, Any]:
    seconds = seconds_left(progress)
    left = round(seconds, 1) if seconds is not None else None
    return {"done": progress.done, "total": progress.total, "secondsLeft": left}
