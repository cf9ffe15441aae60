-- :GemmaLsp and its subcommands.
local M = {}

---@param args table as `nvim_create_user_command` gives them
---@return table # the lines of a range, or else the cursor, and what others report there
local function place(args)
  local buf = vim.api.nvim_get_current_buf()
  local first, last = args.line1 - 1, args.line2 - 1
  local diagnostics = {}
  for _, found in ipairs(vim.diagnostic.get(buf)) do
    if found.source ~= 'gemma-lsp' and found.lnum >= first and found.lnum <= last then
      table.insert(diagnostics, { line = found.lnum, source = found.source or '', message = found.message })
    end
  end
  return {
    uri = vim.uri_from_bufnr(buf),
    range = {
      start = { line = first, character = 0 },
      ['end'] = { line = args.range > 0 and last + 1 or first, character = 0 },
    },
    diagnostics = #diagnostics > 0 and diagnostics or nil,
  }
end

local subcommands = {
  explain = function(client, args)
    require('gemma_lsp.explain').run(client, 'gemma-lsp.explain', place(args), 'Explain')
  end,
  ask = function(client, args)
    local argument = { uri = vim.uri_from_bufnr(0) }
    local function ask(question)
      if question and question ~= '' then
        argument.question = question
        require('gemma_lsp.explain').run(client, 'gemma-lsp.ask', argument, question)
      end
    end
    local given = table.concat(vim.list_slice(args.fargs, 2), ' ')
    if given ~= '' then
      ask(given)
    else
      vim.ui.input({ prompt = 'Ask about the repository: ' }, ask)
    end
  end,
  stop = function()
    require('gemma_lsp.explain').stop()
  end,
  close = function()
    require('gemma_lsp.explain').close()
  end,
  status = function(client)
    client:exec_cmd({ title = 'status', command = 'gemma-lsp.status' })
  end,
}

local without_server = {
  restart = function()
    require('gemma_lsp.life').restart()
  end,
  log = function()
    local path = vim.lsp.log and vim.lsp.log.get_filename and vim.lsp.log.get_filename() or vim.lsp.get_log_path()
    vim.cmd.tabnew(vim.fn.fnameescape(path))
    vim.cmd('normal! G')
  end,
}

--- `vim.lsp.commands`: dismisses a finding, and asks for the diagnostics again: Neovim takes no refresh from a server.
function M.dismiss(command, ctx)
  local client = assert(vim.lsp.get_client_by_id(ctx.client_id))
  local params = { command = command.command, arguments = command.arguments }
  client:request('workspace/executeCommand', params, function(err)
    if not err and vim.api.nvim_buf_is_valid(ctx.bufnr) then
      local document = vim.lsp.util.make_text_document_params(ctx.bufnr)
      client:request('textDocument/diagnostic', { textDocument = document }, nil, ctx.bufnr)
    end
  end, ctx.bufnr)
end

--- Runs a subcommand.
---@param args table
function M.run(args)
  local name = args.fargs[1]
  if without_server[name] then
    return without_server[name]()
  end
  local run, client = subcommands[name], require('gemma_lsp').client()
  if not run then
    vim.notify('no such command: GemmaLsp ' .. name, vim.log.levels.ERROR)
  elseif not client then
    vim.notify('gemma-lsp does not run for this file; :checkhealth gemma_lsp says why', vim.log.levels.WARN)
  else
    run(client, args)
  end
end

---@param lead string
---@param line string
---@return string[]
function M.complete(lead, line)
  if line:match('GemmaLsp%s+%S+%s') then
    return {}
  end
  local names = vim.list_extend(vim.tbl_keys(subcommands), vim.tbl_keys(without_server))
  table.sort(names)
  return vim.tbl_filter(function(name)
    return vim.startswith(name, lead)
  end, names)
end

return M
