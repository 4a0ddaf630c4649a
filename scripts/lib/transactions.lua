-- For wrk: each request is another transaction, of about 410 bytes or of as
-- many as BODY_BYTES says.
--
-- Only the hash changes, and its place is fixed: what the load costs is paid
-- from the same cores as what it measures.
local requests = 0
local head, tail

function init(args)
  math.randomseed(os.time() + tonumber(tostring({}):match('0x(%x+)'), 16) % 2 ^ 20)
  local run = string.format('%08x%08x', math.random(2 ^ 31 - 1), math.random(2 ^ 31 - 1))
  local hash = run .. string.rep('0', 48)
  wrk.method = 'POST'
  wrk.headers['content-type'] = 'application/json'
  local function body(input)
    return '{"tx_hash":"0x' .. hash .. '","from_address":"0x52908400098527886e0f7030069857d2e4169ee7",'
      .. '"to_address":"0x8617e340b3d01fa5f11f306f4090fd50e238070d","value_eth":12.5,"gas_price_gwei":30,'
      .. '"input_data":"' .. input .. '","timestamp":1766700000}'
  end
  local input = '0xa9059cbb0000000000000000000000008617e340b3d01fa5f11f306f4090fd50e238070d'
    .. '0000000000000000000000000000000000000000000000000000000000000001'
  local bytes = tonumber(os.getenv('BODY_BYTES'))
  if bytes then
    input = '0x' .. string.rep('0', bytes - #body('0x'))
  end
  wrk.body = body(input)
  local request = wrk.format()
  local at = request:find(hash, 1, true)
  head, tail = request:sub(1, at + 15), request:sub(at + 64)
end

function request()
  requests = requests + 1
  return head .. string.format('%048x', requests) .. tail
end
