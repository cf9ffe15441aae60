"""`bench typing` and `bench speculate`, and the pace of the index under keystrokes."""
