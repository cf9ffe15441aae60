---@brief
---
--- gemma-lsp, a language server that keeps a whole repository resident in a local model's KV cache.
---
--- It offers inline completions, completions, code actions ("Explain this bug"), diagnostics and answers about the
--- repository, for Python.
---
--- `gemma-lsp` must be on PATH: `pip install .` in a clone of it. `gemma-lsp doctor` says what is missing.
---
--- From Neovim 0.12 on, ghost text is built in:
--- ```lua
--- vim.lsp.inline_completion.enable()
--- vim.keymap.set('i', '<Tab>', function()
---   return vim.lsp.inline_completion.get() and '' or '<Tab>'
--- end, { expr = true })
--- ```

---@type vim.lsp.Config
return {
  cmd = { 'gemma-lsp', 'serve' },
  filetypes = { 'python' },
  root_markers = { 'pyproject.toml', 'setup.py', 'setup.cfg', '.git' },
}
