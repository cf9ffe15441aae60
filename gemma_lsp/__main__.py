"""`python -m gemma_lsp` is the `gemma-lsp` command."""

from gemma_lsp.cli import main

main()
