"""The clients in the real editors, against the real server with a real model: `make test-neovim`, `make test-helix`.

Not part of `make test`: they install editors. What the screens showed is left in `build/editors`.
"""
