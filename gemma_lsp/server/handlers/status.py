"""gemma-lsp/status: how things stand, for people and for the demo."""

from __future__ import annotations

from typing import Any

from gemma_lsp.server.session import Session


def status(session: Session, params: Any) -> dict[str, Any]:
    """Version, engine, model, workspaces and the cost of the last answer; docs/protocol.md lists the members."""
    return session.standing()


def sentence(session: Session) -> str:
    """The same in one line."""
    engine, model = session.app.engine, session.app.engine.model
    if engine.error:
        return engine.error
    parts = [model.name if model is not None else "the model is being loaded"]
    for workspace in session.app.workspaces:
        tokens = f", {workspace.warmed_tokens:,} tokens resident" if workspace.warmed_tokens else ""
        parts.append(f"{workspace.name}: {workspace.phase}, {len(workspace.index.files):,} files{tokens}")
    return "; ".join(parts)
