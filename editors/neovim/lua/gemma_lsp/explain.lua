-- A window in which an answer streams. The person's command opens and enters it; what comes later never takes the focus.
local api = vim.api
local M = {}

local COMMAND = 'workspace/executeCommand'
local HELP = 'q close  s stop  a ask  <CR> open link'

---@class gemma_lsp.Answer
---@field id string
---@field client_id integer
---@field buf integer
---@field home integer the window in which links open
---@field uri? string
---@field head integer the row of its title, from 0
---@field thoughts? integer the row of its thoughts' last line
---@field body integer the row where its words begin
---@field running boolean
---@field remembered boolean the server can be asked on about it

---@type table<string, gemma_lsp.Answer> by id
local answers = {}
---@type gemma_lsp.Answer? the one in the window
local latest
local window, count = nil, 0

---@return integer?
local function win()
  return window and api.nvim_win_is_valid(window) and window or nil
end

---@param answer gemma_lsp.Answer
---@param first integer
---@param last integer
---@param lines string[]
local function put(answer, first, last, lines)
  local at = win()
  local follow = at and api.nvim_win_get_cursor(at)[1] >= api.nvim_buf_line_count(answer.buf)
  vim.bo[answer.buf].modifiable = true
  api.nvim_buf_set_lines(answer.buf, first, last, true, lines)
  vim.bo[answer.buf].modifiable = false
  if at and follow and answer.running then
    api.nvim_win_set_cursor(at, { api.nvim_buf_line_count(answer.buf), 0 })
  end
end

--- Adds text to what stands in a row; further lines follow it.
---@param answer gemma_lsp.Answer
---@param row integer
---@param text string
---@return integer # how many rows were added
local function append(answer, row, text)
  local line = api.nvim_buf_get_lines(answer.buf, row, row + 1, true)[1]
  local lines = vim.split(line .. text, '\n', { plain = true })
  put(answer, row, row + 1, lines)
  return #lines - 1
end

---@param answer gemma_lsp.Answer
---@param state string
local function say(answer, state)
  local at = win()
  if at then
    local text = ('%s  ·  %s'):format(state, HELP)
    vim.wo[at][0].winbar = ' ' .. text:gsub('%%', '%%%%')
  end
end

---@param enter boolean
local function open(enter)
  local buf = api.nvim_create_buf(false, true)
  vim.bo[buf].bufhidden = 'wipe'
  vim.bo[buf].modifiable = false
  pcall(vim.treesitter.start, buf, 'markdown')
  local at = win()
  if at then
    vim.wo[at].winfixbuf = false
    api.nvim_win_set_buf(at, buf)
    if enter then
      api.nvim_set_current_win(at)
    end
  else
    local shape = require('gemma_lsp').options().window
    window = api.nvim_open_win(buf, enter, type(shape) == 'function' and shape() or shape)
    at = window
  end
  local wo = vim.wo[at][0]
  wo.wrap, wo.linebreak, wo.conceallevel, wo.foldmethod = true, true, 2, 'manual'
  vim.wo[at].winfixbuf = true
  wo.number, wo.relativenumber, wo.signcolumn, wo.list, wo.spell = false, false, 'no', false, false
  for key, fn in pairs({ q = M.close, s = M.stop, a = M.follow_up, ['<CR>'] = M.open_link, gf = M.open_link }) do
    vim.keymap.set('n', key, fn, { buffer = buf, nowait = true, desc = 'gemma-lsp' })
  end
  vim.keymap.set('n', '<2-LeftMouse>', M.open_link, { buffer = buf, desc = 'gemma-lsp: open link' })
  api.nvim_create_autocmd('BufWipeout', { buffer = buf, callback = M.stop })
  return buf
end

--- Begins an answer: in a buffer of its own, or below the one that it follows.
---@param id string
---@param title string
---@param client_id integer
---@param enter boolean
---@param follows? gemma_lsp.Answer
---@return gemma_lsp.Answer
local function begin(id, title, client_id, enter, follows)
  local inside = win() == api.nvim_get_current_win() and latest
  local home = follows and follows.home or (inside and inside.home) or api.nvim_get_current_win()
  local buf = follows and follows.buf or open(enter)
  local head = follows and api.nvim_buf_line_count(buf) + 1 or 0
  local answer = { id = id, client_id = client_id, buf = buf, home = home, head = head, body = head + 2, running = true }
  answers[id], latest = answer, answer
  local lines = { '# ' .. title, '', '' }
  put(answer, follows and -1 or 0, -1, follows and vim.list_extend({ '' }, lines) or lines)
  say(answer, 'waiting')
  if follows and win() then
    api.nvim_win_set_cursor(win(), { api.nvim_buf_line_count(buf), 0 })
  end
  return answer
end

--- Thoughts stand in a closed fold between the title and the answer.
---@param answer gemma_lsp.Answer
---@param text string
local function think(answer, text)
  if not answer.thoughts then
    put(answer, answer.head + 1, answer.head + 1, { '', 'Thinking', '', '' })
    answer.thoughts, answer.body = answer.head + 3, answer.body + 4
    if win() then
      api.nvim_win_call(win(), function()
        vim.cmd(('%d,%dfold'):format(answer.head + 3, answer.head + 5))
      end)
    end
  end
  local added = append(answer, answer.thoughts, text)
  answer.thoughts, answer.body = answer.thoughts + added, answer.body + added
end

---@param answer gemma_lsp.Answer
---@param message table the last one of the answer
local function finish(answer, message)
  answer.running, answer.remembered = false, message.markdown ~= nil
  if message.thinking and not answer.thoughts then
    think(answer, message.thinking)
  end
  if message.markdown then
    local lines = vim.split(vim.trim(message.markdown), '\n', { plain = true })
    if vim.startswith(lines[1], '# ') then
      put(answer, answer.head, answer.head + 1, { table.remove(lines, 1) })
    end
    put(answer, answer.body, -1, lines[1] == '' and vim.list_slice(lines, 2) or lines)
  end
  local last = message.error or (message.cancelled and 'Stopped.')
  if last and not (message.markdown or ''):find(last, 1, true) then
    put(answer, -1, -1, vim.split(last, '\n', { plain = true }))
  end
  say(answer, message.error and 'failed' or message.cancelled and 'stopped' or 'done')
end

--- Handler of `gemma-lsp/explain`.
function M.on_message(_, message, ctx)
  local answer = answers[message.id]
  if not answer and message.title then
    answer = begin(message.id, message.title, ctx.client_id, false)
  end
  if not answer or not answer.running or not api.nvim_buf_is_valid(answer.buf) then
    return
  end
  if message.done then
    return finish(answer, message)
  elseif message.title then
    put(answer, answer.head, answer.head + 1, { '# ' .. message.title })
  elseif message.thinking then
    think(answer, message.thinking)
    say(answer, 'thinking')
  elseif message.delta then
    append(answer, api.nvim_buf_line_count(answer.buf) - 1, message.delta)
    say(answer, 'answering')
  end
end

--- Asks the server for something that streams, in a window that the person sees at once.
---@param client vim.lsp.Client
---@param command string
---@param argument table
---@param title string
---@param follows? gemma_lsp.Answer
function M.run(client, command, argument, title, follows)
  count = count + 1
  local id = ('nvim-%d-%d'):format(vim.fn.getpid(), count)
  local answer = begin(id, title, client.id, true, follows)
  answer.uri = argument.uri
  argument = vim.tbl_extend('force', argument, { id = id, follows = follows and follows.remembered and follows.id or nil })
  client:request(COMMAND, { command = command, arguments = { argument } }, function(err)
    if answer.running and api.nvim_buf_is_valid(answer.buf) then
      finish(answer, { error = err and err.message or 'There is no answer; :messages says why.' })
    end
  end)
end

--- `vim.lsp.commands`: what a code action asks for.
function M.on_command(command, ctx)
  local client = assert(vim.lsp.get_client_by_id(ctx.client_id))
  M.run(client, command.command, (command.arguments or {})[1] or vim.empty_dict(), command.title)
end

--- Ends the running answer; what was said stays.
function M.stop()
  local client = latest and latest.running and vim.lsp.get_client_by_id(latest.client_id)
  if client and not client:is_stopped() then
    local argument = { id = latest.id }
    client:request(COMMAND, { command = 'gemma-lsp.stop', arguments = { argument } }, function() end)
  end
end

function M.close()
  local at = win()
  local home = latest and latest.home
  if at then
    api.nvim_win_close(at, true)
  end
  if home and api.nvim_win_is_valid(home) then
    api.nvim_set_current_win(home)
  end
end

--- Asks for a question that continues the answer in the window.
function M.follow_up()
  local before = latest
  local client = before and vim.lsp.get_client_by_id(before.client_id)
  if not before or before.running or not client then
    return
  end
  vim.ui.input({ prompt = 'Ask: ' }, function(question)
    if question and question ~= '' and api.nvim_buf_is_valid(before.buf) then
      M.run(client, 'gemma-lsp.ask', { question = question, uri = before.uri }, question, before)
    end
  end)
end

--- Opens the file of the link under the cursor, or else of the first link of the line, beside the window.
function M.open_link()
  local line, col = api.nvim_get_current_line(), api.nvim_win_get_cursor(0)[2] + 1
  local target
  for first, uri, last in line:gmatch('()%[[^%]]*%]%((file://[^%s)]+)%)()') do
    if not target or (first <= col and col < last) then
      target = uri
    end
  end
  if not target or not latest then
    return
  end
  local uri, row = target:match('^(.-)#L(%d+)$')
  local path = vim.uri_to_fname(uri or target)
  if api.nvim_win_is_valid(latest.home) then
    api.nvim_set_current_win(latest.home)
  else
    vim.cmd.wincmd('p')
  end
  vim.cmd.edit(vim.fn.fnameescape(path))
  local last = api.nvim_buf_line_count(0)
  api.nvim_win_set_cursor(0, { math.min(tonumber(row) or 1, last), 0 })
  vim.cmd('normal! zz')
end

--- The server is gone: nothing more comes.
---@param client_id integer
function M.on_exit(client_id)
  for _, answer in pairs(answers) do
    if answer.running and answer.client_id == client_id and api.nvim_buf_is_valid(answer.buf) then
      finish(answer, { error = 'The server ended before the answer did.' })
    end
  end
end

return M
