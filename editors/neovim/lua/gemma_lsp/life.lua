-- The server's life as the person sees it: it is missing, it died, it is started again.
local M = {}

local NAME = 'gemma_lsp'
local AGAIN_MS = 500
local TRIES, WITHIN_S = 3, 180

---@type integer[] when it died
local deaths = {}

--- Starts the server for every buffer that it is for.
local function start()
  vim.lsp.enable(NAME)
end

--- Says once that there is no server to start: Neovim itself only writes that into a log.
function M.check_server()
  local config = vim.lsp.config[NAME]
  local cmd = config and config.cmd
  if vim.lsp.is_enabled and not vim.lsp.is_enabled(NAME) or type(cmd) ~= 'table' then
    return
  end
  if vim.fn.executable(cmd[1]) == 0 then
    local message = '%s is not there: pip install . in a clone of gemma-lsp (:checkhealth gemma_lsp)'
    vim.notify_once(message:format(cmd[1]), vim.log.levels.WARN)
  end
end

--- `on_exit` of the client: a server that died comes back, but not for ever.
---@param code integer
---@param signal integer
---@param client_id integer
function M.on_exit(code, signal, client_id)
  local client = vim.lsp.get_client_by_id(client_id)
  local lived = client ~= nil and client.initialized == true
  vim.schedule(function()
    require('gemma_lsp.explain').on_exit(client_id)
    require('gemma_lsp.status').on_exit(client_id)
    local wanted = code == 0 and (signal == 0 or signal == 15)
    if wanted or not lived or vim.v.exiting ~= vim.NIL then
      return -- Neovim has said so; what cannot start is not tried again
    end
    local now = os.time()
    deaths = vim.tbl_filter(function(at)
      return now - at < WITHIN_S
    end, deaths)
    table.insert(deaths, now)
    if #deaths > TRIES then
      vim.notify('gemma-lsp keeps ending; :GemmaLsp log says why, :GemmaLsp restart tries again', vim.log.levels.ERROR)
    else
      vim.defer_fn(start, AGAIN_MS)
    end
  end)
end

--- Ends the servers and starts them again.
function M.restart()
  deaths = {}
  local clients = vim.lsp.get_clients({ name = NAME })
  for _, client in ipairs(clients) do
    client:stop()
  end
  local tries = 0
  local function again()
    tries = tries + 1
    if #vim.lsp.get_clients({ name = NAME }) == 0 then
      return start()
    elseif tries == 50 then
      for _, client in ipairs(clients) do
        client:stop(true)
      end
    end
    if tries < 100 then
      vim.defer_fn(again, 100)
    end
  end
  again()
end

return M
