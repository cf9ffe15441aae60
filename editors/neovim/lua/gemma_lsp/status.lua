-- What the server said last about its state, and the same in a few words for the status line.
local M = {}

---@type table<integer, table> by client
local states = {}

---@param n integer
local function short(n)
  return n < 1000 and tostring(n) or ('%.1fk'):format(n / 1000)
end

---@param client_id integer
---@param changed table
local function take(client_id, changed)
  states[client_id] = vim.tbl_extend('force', states[client_id] or {}, changed)
  vim.cmd.redrawstatus()
end

--- Handler of `gemma-lsp/status`, as a notification and as the answer to the request.
function M.on_status(err, status, ctx)
  if not err and type(status) == 'table' then
    take(ctx.client_id, status)
  end
end

--- Handler of `gemma-lsp/cost`.
function M.on_cost(_, last, ctx)
  take(ctx.client_id, { lastAnswer = last })
end

---@param client vim.lsp.Client
function M.ask(client)
  client:request('gemma-lsp/status', vim.empty_dict(), M.on_status)
end

---@param client_id integer
function M.on_exit(client_id)
  states[client_id] = nil
end

--- What is known of a client's server; nil before it has said anything.
---@param client_id integer
---@return table?
function M.state(client_id)
  return states[client_id]
end

---@param status table
---@return table? # the workspace that is being read, or else the first
local function workspace(status)
  local all = type(status.workspaces) == 'table' and status.workspaces or {}
  for _, one in ipairs(all) do
    if type(one.progress) == 'table' then
      return one
    end
  end
  return all[1]
end

---@param progress {done: integer, total: integer, secondsLeft: integer|vim.NIL}
local function reading(progress)
  local percent = progress.total > 0 and math.floor(100 * progress.done / progress.total) or 0
  local left = progress.secondsLeft
  return ('reading %d%%%s'):format(percent, type(left) == 'number' and (' %ds'):format(left) or '')
end

---@return string # `gemma: 12.3k tokens, 98% reused` once the repository is resident
function M.line()
  local client = require('gemma_lsp').client()
  local status = client and states[client.id]
  if not client then
    return ''
  elseif not status or not status.engine then
    return 'gemma: starting'
  elseif status.engine.state ~= 'ready' then
    return 'gemma: ' .. status.engine.state
  end
  local here = workspace(status)
  if here and type(here.progress) == 'table' then
    return 'gemma: ' .. reading(here.progress)
  elseif here and here.state ~= 'ready' then
    return 'gemma: ' .. here.state
  end
  local last = type(status.lastAnswer) == 'table' and status.lastAnswer.cost
  local reused = last and last.prompt > 0 and (', %d%% reused'):format(math.floor(100 * last.reused / last.prompt)) or ''
  return ('gemma: %s tokens%s'):format(short(here and here.residentTokens or 0), reused)
end

return M
