"""What a user asks for, from a snapshot and an engine to plain data. No feature knows LSP, or where the engine runs."""
