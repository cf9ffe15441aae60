"""The workspace as text: which files belong to it, what they hold, and what the editor has open over them."""

from gemma_lsp.workspace.snapshot import WorkspaceSnapshot

__all__ = ["WorkspaceSnapshot"]
