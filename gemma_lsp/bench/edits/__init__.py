"""`bench edits`: one edit by its place in the prompt, beside llama-server."""
