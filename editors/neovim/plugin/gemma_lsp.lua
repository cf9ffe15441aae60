-- What the plugin adds to `lsp/gemma_lsp.lua`: what we can (capabilities), what we hear, and the command.
-- Everything else is loaded when it is first needed.
if vim.g.loaded_gemma_lsp then
  return
end
vim.g.loaded_gemma_lsp = true
if vim.fn.has('nvim-0.11') == 0 then
  vim.notify('gemma-lsp needs Neovim 0.11 or newer', vim.log.levels.WARN)
  return
end

---@param name string
---@param fn string
local function late(name, fn)
  return function(...)
    return require('gemma_lsp.' .. name)[fn](...)
  end
end

local before = (vim.lsp.config.gemma_lsp or {}).on_exit
local on_exit = type(before) == 'table' and vim.list_extend({}, before) or { before }
vim.lsp.config('gemma_lsp', {
  capabilities = {
    textDocument = { inlineCompletion = { dynamicRegistration = false } },
    experimental = { gemmaLsp = { stream = true, cost = true, status = true } },
  },
  on_exit = vim.list_extend(on_exit, { late('life', 'on_exit') }),
})
vim.lsp.handlers['gemma-lsp/explain'] = late('explain', 'on_message')
vim.lsp.handlers['gemma-lsp/status'] = late('status', 'on_status')
vim.lsp.handlers['gemma-lsp/cost'] = late('status', 'on_cost')
vim.lsp.commands['gemma-lsp.explain'] = late('explain', 'on_command')
vim.lsp.commands['gemma-lsp.ask'] = late('explain', 'on_command')
vim.lsp.commands['gemma-lsp.dismiss'] = late('commands', 'dismiss')

vim.api.nvim_set_hl(0, 'GemmaLspGhost', { link = 'NonText', default = true })

local group = vim.api.nvim_create_augroup('gemma_lsp', {})
vim.api.nvim_create_autocmd('LspAttach', {
  group = group,
  callback = function(args)
    local client = vim.lsp.get_client_by_id(args.data.client_id)
    if client and client.name == 'gemma_lsp' then
      require('gemma_lsp.ghost').attach(args.buf, client)
      require('gemma_lsp.status').ask(client)
    end
  end,
})
vim.api.nvim_create_autocmd('FileType', { group = group, pattern = 'python', callback = late('life', 'check_server') })

vim.api.nvim_create_user_command('GemmaLsp', late('commands', 'run'), {
  nargs = '+',
  range = true,
  complete = late('commands', 'complete'),
  desc = 'gemma-lsp: explain, ask, stop, status, restart, log',
})
