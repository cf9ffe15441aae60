-- The plugin's options and what a person's configuration may call. `:help gemma-lsp` describes both.
local M = {}

---@class gemma_lsp.Options
local defaults = {
  ---@type boolean
  ghost = true,
  ---@type table<string, string|false>
  keys = {
    accept = '<Tab>',
    accept_word = '<M-Right>',
    accept_line = '<M-C-Right>',
    next = '<M-]>',
    previous = '<M-[>',
    dismiss = '<C-]>',
  },
  ---@type vim.api.keyset.win_config|fun(): vim.api.keyset.win_config
  window = function()
    local width = math.max(40, math.floor(vim.o.columns * 0.5))
    return {
      relative = 'editor',
      anchor = 'NE',
      row = 0,
      col = vim.o.columns,
      width = math.min(width, vim.o.columns - 2),
      height = math.max(3, vim.o.lines - vim.o.cmdheight - 4),
      border = 'rounded',
    }
  end,
}

---@return gemma_lsp.Options # `vim.g.gemma_lsp` over the defaults
function M.options()
  return vim.tbl_deep_extend('force', defaults, vim.g.gemma_lsp or {})
end

---@param buf? integer
---@return vim.lsp.Client? # the server of a buffer, or else any
function M.client(buf)
  local here = vim.lsp.get_clients({ name = 'gemma_lsp', bufnr = buf or vim.api.nvim_get_current_buf() })
  return here[1] or vim.lsp.get_clients({ name = 'gemma_lsp' })[1]
end

---@return string # for 'statusline': the state of the server, in a few words; empty where it does not run
function M.statusline()
  return require('gemma_lsp.status').line()
end

---@param part? 'all'|'word'|'line'
---@return boolean # whether there was ghost text to accept
function M.accept(part)
  return require('gemma_lsp.ghost').accept(part or 'all')
end

return M
