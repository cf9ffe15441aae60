"""gemma-lsp: a language server that keeps a whole repository resident in a local model's KV cache."""

__version__ = "0.1.0"
