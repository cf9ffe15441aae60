"""`bench replay`: a git history or recorded keystrokes as editing, with costs and fidelity."""
