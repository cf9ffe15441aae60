"""The edge: the language server protocol on one side, the app on the other. Only this package speaks LSP."""

from gemma_lsp.server.run import ServeOptions, run, serve

__all__ = ["ServeOptions", "run", "serve"]
