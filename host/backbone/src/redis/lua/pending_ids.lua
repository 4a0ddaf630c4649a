-- What XPENDING does not tell of pending entries, without their bodies: those of
-- one page may be hundreds of megabytes.
--
-- KEYS  1 stream, 2 faults, 3 due
-- ARGV  stream ids
-- Reply for each in turn: its id | nil, its fault record | nil, its next attempt | nil
-- Cost  O(stream ids), and the bodies are copied within Redis
local known = {}
for _, stream_id in ipairs(ARGV) do
  local id = false
  local found = redis.call('XRANGE', KEYS[1], stream_id, stream_id)
  if found[1] then
    local fields = found[1][2]
    for at = 1, #fields - 1, 2 do
      if fields[at] == 'id' then
        id = fields[at + 1]
      end
    end
  end
  known[#known + 1] = id
  known[#known + 1] = redis.call('HGET', KEYS[2], stream_id)
  known[#known + 1] = redis.call('ZSCORE', KEYS[3], stream_id)
end
return known
