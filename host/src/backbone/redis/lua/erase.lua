-- Deletes what the stream still has of a settled entry, and what is remembered
-- of its decision.
--
-- KEYS  1 stream, 2 id key
-- ARGV  1 group, 2.. stream ids that the ledger knows it by
-- Reply how many there were of both, -1 where it is still open: then nothing
--       was deleted
-- Cost  O(stream ids * log pending)
--
-- It is open until it is acknowledged: whoever holds it would find nothing.
local ids = {}
for a = 2, #ARGV do
  ids[#ids + 1] = ARGV[a]
end
local known = redis.call('GET', KEYS[2])
if known then
  ids[#ids + 1] = string.match(known, '^[%d-]+', 18)
end

local last = '0-0'
local groups = redis.pcall('XINFO', 'GROUPS', KEYS[1])
if groups.err then
  groups = {}
end
for _, group in ipairs(groups) do
  local info = {}
  for i = 1, #group, 2 do
    info[group[i]] = group[i + 1]
  end
  if info['name'] == ARGV[1] then
    last = info['last-delivered-id']
  end
end
local function parts(text)
  local ms, seq = string.match(text, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end
local last_ms, last_seq = parts(last)
for _, id in ipairs(ids) do
  if #redis.call('XRANGE', KEYS[1], id, id) > 0 then
    local ms, seq = parts(id)
    if ms > last_ms or (ms == last_ms and seq > last_seq)
      or #redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1) > 0 then
      return -1
    end
  end
end

local erased = 0
for _, id in ipairs(ids) do
  erased = erased + redis.call('XDEL', KEYS[1], id)
end
local outcome = known and string.find(known, '\n', 18, true)
if outcome and string.sub(known, 17, 17) == 's' then
  redis.call('SET', KEYS[2], string.sub(known, 1, outcome - 1), 'KEEPTTL')
  erased = erased + 1
end
return erased
