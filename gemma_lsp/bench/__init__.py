"""`gemma-lsp bench`: what the product costs and what it is worth, measured through its own core.

One folder for each question: `basics` (speed beside llama.cpp), `replay` (edits from a git history), `edits` (one edit
beside llama-server), `complete`, `bugs` (explain, fix, review), `pace` (typing, guessed tokens, indexing). Nothing here
is part of the server; what it measures is imported from the packages below, never copied.
"""
