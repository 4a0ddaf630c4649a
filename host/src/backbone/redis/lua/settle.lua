-- Acknowledges entries whose decision is stored, or that are buried.
--
-- KEYS  1 stream, 2 open counter, 3 faults, 4 due, 5.. one id key per entry
-- ARGV  1 group, 2 state ('s' settled, 'd' dead), 3 time in ms for which the
--       ids stay known, 4.. one stream id per entry
-- Reply how many were still open
-- Cost  O(entries)
--
-- XACK's own count lowers the counter: an entry that somebody else settled
-- meanwhile is not subtracted twice.
local ids = {}
for a = 4, #ARGV do
  ids[#ids + 1] = ARGV[a]
end
local acknowledged = redis.call('XACK', KEYS[1], ARGV[1], unpack(ids))
if acknowledged > 0 then
  redis.call('DECRBY', KEYS[2], acknowledged)
end
redis.call('HDEL', KEYS[3], unpack(ids))
redis.call('ZREM', KEYS[4], unpack(ids))
for i, id in ipairs(ids) do
  local key = KEYS[4 + i]
  if ARGV[2] == 'd' then
    -- Requeued meanwhile, the key speaks of another stream entry: leave it.
    local known = redis.call('GET', key)
    if known and string.sub(known, 18) == id then
      redis.call('SET', key, string.sub(known, 1, 16) .. 'd' .. id, 'PX', ARGV[3])
    end
  else
    redis.call('PEXPIRE', key, ARGV[3])
  end
end
return acknowledged
