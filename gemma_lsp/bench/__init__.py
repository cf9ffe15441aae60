"""`gemma-lsp bench`: replays edits through the real core and says what they cost and how true the answers stay.

Nothing here is part of the server; what it measures is imported from the packages below, never copied.
"""
