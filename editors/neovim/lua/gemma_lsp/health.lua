-- `:checkhealth gemma_lsp`: is the server found, what does its own doctor say, what does it do here.
local M = {}
local health = vim.health
local DOCTOR_MS = 30000

local function check_neovim()
  health.start('Neovim')
  if vim.fn.has('nvim-0.11') == 0 then
    health.error('0.11 or newer is needed')
  elseif vim.lsp.inline_completion and vim.lsp.inline_completion.is_enabled() then
    health.ok('ghost text: vim.lsp.inline_completion')
  else
    health.ok('ghost text: this plugin')
  end
  if not vim.lsp.is_enabled or vim.lsp.is_enabled('gemma_lsp') then
    health.ok('vim.lsp.enable("gemma_lsp")')
  else
    health.error('the server is not enabled', 'put vim.lsp.enable("gemma_lsp") into init.lua')
  end
end

---@return string[]? # the command of the server's doctor, where it can be run
local function check_command()
  health.start('Server')
  local config = vim.lsp.config.gemma_lsp
  local cmd = config and config.cmd
  if type(cmd) ~= 'table' then
    health.info('cmd is a function; it is not checked')
  elseif vim.fn.executable(cmd[1]) == 0 then
    health.error(cmd[1] .. ' is not executable', {
      'pip install . in a clone of gemma-lsp (make demo there leaves it in .venv/bin)',
      'or name it: vim.lsp.config("gemma_lsp", { cmd = { "/where/it/is/gemma-lsp", "serve" } })',
    })
  else
    health.ok(table.concat(cmd, ' '))
    local serve = vim.fn.index(cmd, 'serve')
    return serve > 0 and vim.list_extend(vim.list_slice(cmd, 1, serve), { 'doctor' }) or nil
  end
end

---@param command string[]
local function check_doctor(command)
  health.start('gemma-lsp doctor')
  local ok, done = pcall(function()
    return vim.system(command, { text = true, timeout = DOCTOR_MS }):wait()
  end)
  if not ok then
    return health.error('it cannot be run: ' .. tostring(done))
  end
  local said = vim.trim((done.stdout or '') .. (done.stderr or ''))
  local report = done.code == 0 and health.ok or health.error
  report(done.code == 0 and 'nothing is wrong' or ('exit code %d'):format(done.code))
  health.info(said)
end

local function check_clients()
  health.start('Running')
  local clients = vim.lsp.get_clients({ name = 'gemma_lsp' })
  if #clients == 0 then
    health.info('no server runs: open a Python file')
  end
  for _, client in ipairs(clients) do
    local status = require('gemma_lsp.status').state(client.id) or {}
    local model = type(status.model) == 'table' and status.model.name or 'no model yet'
    local engine = type(status.engine) == 'table' and status.engine or {}
    health.info(('%s: %s, engine %s'):format(client.root_dir or 'no folder', model, engine.state or 'unknown'))
    if type(engine.error) == 'string' and engine.error ~= '' then
      health.error(engine.error)
    end
  end
end

function M.check()
  check_neovim()
  local command = check_command()
  if command then
    check_doctor(command)
  end
  check_clients()
end

return M
