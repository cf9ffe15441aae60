-- Ghost text by extmarks. What is typed along a suggestion shortens it: nothing is cleared and nothing is asked.
-- Where `vim.lsp.inline_completion` is enabled (0.12), that one draws, and only the keys are ours.
local api = vim.api
local M = {}

local METHOD = 'textDocument/inlineCompletion'
local INVOKED, AUTOMATIC = 1, 2
local ns = api.nvim_create_namespace('gemma_lsp.ghost')

---@class gemma_lsp.Ghost
---@field client vim.lsp.Client
---@field request? integer the one that runs
---@field seen? string the text and the cursor as of the last look
---@field items string[] the suggestions
---@field index integer
---@field row integer where they begin
---@field col integer
---@field after string the rest of the line behind the cursor, when they were made
---@field shown boolean

---@type table<integer, gemma_lsp.Ghost>
local ghosts = {}

local function cursor()
  local at = api.nvim_win_get_cursor(0)
  return at[1] - 1, at[2]
end

---@param buf integer
---@return boolean
local function built_in(buf)
  return vim.lsp.inline_completion ~= nil and vim.lsp.inline_completion.is_enabled({ bufnr = buf })
end

---@param buf integer
---@param ghost gemma_lsp.Ghost
---@return string? # what is left of the suggestion at the cursor; nil where something else was typed
local function rest(buf, ghost)
  local text = ghost.items[ghost.index]
  local row, col = cursor()
  if not text or row < ghost.row or (row == ghost.row and col < ghost.col) then
    return nil
  end
  if api.nvim_get_current_line():sub(col + 1) ~= ghost.after then
    return nil
  end
  local ok, typed = pcall(api.nvim_buf_get_text, buf, ghost.row, ghost.col, row, col, {})
  typed = ok and table.concat(typed, '\n') or text
  return #typed < #text and vim.startswith(text, typed) and text:sub(#typed + 1) or nil
end

---@param buf integer
---@param ghost gemma_lsp.Ghost
---@return boolean # whether there is still a suggestion
local function draw(buf, ghost)
  api.nvim_buf_clear_namespace(buf, ns, 0, -1)
  local text = rest(buf, ghost)
  ghost.shown = text ~= nil and vim.fn.pumvisible() == 0
  if not text then
    ghost.items = {}
  elseif ghost.shown then
    local lines = vim.tbl_map(function(line)
      return { { line, 'GemmaLspGhost' } }
    end, vim.split(text, '\n', { plain = true }))
    local row, col = cursor()
    api.nvim_buf_set_extmark(buf, ns, row, col, {
      virt_text = table.remove(lines, 1),
      virt_text_pos = 'inline',
      virt_lines = lines,
      hl_mode = 'combine',
    })
  end
  return text ~= nil
end

---@param ghost gemma_lsp.Ghost
local function cancel(ghost)
  if ghost.request and not ghost.client:is_stopped() then
    ghost.client:cancel_request(ghost.request)
  end
  ghost.request = nil
end

---@param buf integer
local function now(buf)
  local row, col = cursor()
  return ('%d:%d:%d:%d'):format(api.nvim_buf_get_changedtick(buf), row, col, vim.fn.pumvisible())
end

---@param buf integer
---@param ghost gemma_lsp.Ghost
---@param kind integer
local function ask(buf, ghost, kind)
  cancel(ghost)
  if ghost.client:is_stopped() then
    return
  end
  local asked = now(buf)
  local params = vim.lsp.util.make_position_params(0, ghost.client.offset_encoding) --[[@as table]]
  params.context = { triggerKind = kind }
  local id
  _, id = ghost.client:request(METHOD, params, function(err, result)
    local stale = ghost.request ~= id or ghosts[buf] ~= ghost
    if stale or err or not result or api.nvim_get_current_buf() ~= buf or now(buf) ~= asked then
      return
    end
    ghost.request, ghost.items, ghost.index = nil, {}, 1
    for _, item in ipairs(result.items or result) do
      local range = item.range
      local insertion = not range or vim.deep_equal(range.start, range['end'])
      if type(item.insertText) == 'string' and insertion then
        table.insert(ghost.items, (item.insertText:gsub('\r\n', '\n')))
      end
    end
    ghost.row, ghost.col = cursor()
    ghost.after = api.nvim_get_current_line():sub(ghost.col + 1)
    draw(buf, ghost)
  end, buf)
  ghost.request = id
end

---@param buf integer
local function look(buf)
  local ghost = ghosts[buf]
  if not ghost or api.nvim_get_mode().mode:sub(1, 1) ~= 'i' or built_in(buf) then
    return
  end
  local seen = now(buf)
  if seen == ghost.seen then
    return
  end
  ghost.seen = seen
  if not draw(buf, ghost) and vim.fn.pumvisible() == 0 and vim.fn.reg_executing() == '' then
    ask(buf, ghost, AUTOMATIC)
  end
end

---@param buf integer
local function forget(buf)
  local ghost = ghosts[buf]
  if ghost then
    cancel(ghost)
    ghost.items, ghost.shown, ghost.seen = {}, false, nil
    api.nvim_buf_clear_namespace(buf, ns, 0, -1)
  end
end

local PARTS = {
  all = function(text)
    return text
  end,
  line = function(text)
    return text:match('^\n?[^\n]*')
  end,
  word = function(text)
    return text:match('^%s*[%w_\128-\255]+') or text:match('^%s*[^%w_%s\128-\255]+') or text
  end,
}

---@param text string
local function insert(text)
  local row, col = cursor()
  local lines = vim.split(text, '\n', { plain = true })
  api.nvim_buf_set_text(0, row, col, row, col, lines)
  api.nvim_win_set_cursor(0, { row + #lines, #lines[#lines] + (#lines == 1 and col or 0) })
end

--- Puts the ghost text, or its next word or line, into the buffer.
---@param part 'all'|'word'|'line'
---@return boolean
function M.accept(part)
  local buf = api.nvim_get_current_buf()
  if built_in(buf) then
    return vim.lsp.inline_completion.get({
      on_accept = part ~= 'all' and function(item)
        insert(PARTS[part](type(item.insert_text) == 'string' and item.insert_text or ''))
      end or nil,
    })
  end
  local ghost = ghosts[buf]
  local text = ghost and rest(buf, ghost)
  if not text then
    return false
  end
  insert(PARTS[part](text))
  look(buf)
  return true
end

--- Shows another suggestion; where there is one only, asks the server again.
---@param by integer
function M.cycle(by)
  local buf = api.nvim_get_current_buf()
  local ghost = ghosts[buf]
  if built_in(buf) then
    vim.lsp.inline_completion.select({ count = by })
  elseif ghost and #ghost.items > 1 then
    ghost.index = (ghost.index - 1 + by) % #ghost.items + 1
    draw(buf, ghost)
  elseif ghost then
    ask(buf, ghost, INVOKED)
  end
end

function M.dismiss()
  forget(api.nvim_get_current_buf())
end

---@param before table what `maparg` said of the key
---@param key string
---@return string # what the key does without us
local function without_us(before, key)
  if before.callback then
    local keys = before.callback()
    return before.expr == 1 and keys or ''
  elseif before.rhs then
    return before.expr == 1 and api.nvim_eval(before.rhs) or before.rhs
  end
  return key
end

---@param buf integer
---@param key string|false
---@param action string
---@param wanted fun(): boolean whether the key is ours now
local function map(buf, key, action, wanted)
  if not key then
    return
  end
  local before = vim.fn.maparg(key, 'i', false, true)
  vim.keymap.set('i', key, function()
    if not wanted() then
      return without_us(before, key)
    end
    return built_in(buf) and '' or ('<C-g>u<Cmd>lua require("gemma_lsp.ghost").%s<CR>'):format(action)
  end, { buffer = buf, expr = true, desc = 'gemma-lsp: ' .. action })
end

---@param buf integer
local function map_all(buf)
  local keys = require('gemma_lsp').options().keys
  local function shown()
    return ghosts[buf] ~= nil and ghosts[buf].shown and not built_in(buf)
  end
  for key, part in pairs({ accept = 'all', accept_word = 'word', accept_line = 'line' }) do
    map(buf, keys[key], ('accept("%s")'):format(part), function()
      return shown() or (built_in(buf) and M.accept(part))
    end)
  end
  map(buf, keys.dismiss, 'dismiss()', shown)
  for key, by in pairs({ next = 1, previous = -1 }) do
    map(buf, keys[key], ('cycle(%d)'):format(by), function()
      if built_in(buf) then
        M.cycle(by)
      end
      return true
    end)
  end
end

--- Begins to suggest in a buffer.
---@param buf integer
---@param client vim.lsp.Client
function M.attach(buf, client)
  if not require('gemma_lsp').options().ghost or not client:supports_method(METHOD, buf) then
    return
  end
  local first = ghosts[buf] == nil
  ghosts[buf] = { client = client, items = {}, index = 1, row = 0, col = 0, after = '', shown = false }
  if not first then
    return
  end
  map_all(buf)
  local group = api.nvim_create_augroup('gemma_lsp.ghost.' .. buf, {})
  local function on(events, fn)
    api.nvim_create_autocmd(events, {
      group = group,
      buffer = buf,
      callback = function()
        fn(buf)
      end,
    })
  end
  on({ 'InsertEnter', 'TextChangedI', 'TextChangedP', 'CursorMovedI', 'CompleteDone' }, look)
  on({ 'InsertLeave', 'BufLeave' }, forget)
  on('BufWipeout', function()
    ghosts[buf] = nil
    api.nvim_del_augroup_by_id(group)
  end)
end

return M
