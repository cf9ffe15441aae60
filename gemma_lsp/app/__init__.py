"""The composition root: settings, engine, documents and workspaces made into one thing that answers. Knows no LSP."""

from gemma_lsp.app.app import App
from gemma_lsp.app.ports import EngineFactory, Host, Silence, TaskView

__all__ = ["App", "EngineFactory", "Host", "Silence", "TaskView"]
