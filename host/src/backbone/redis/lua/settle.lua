-- Acknowledges entries whose decision is stored, or that are buried.
--
-- KEYS  1 stream, 2 open counter, 3 faults, 4 due, 5 counter of decided or of
--       dead entries, 6.. one id key per entry
-- ARGV  1 group, 2 state ('s' settled, 'd' dead), 3 time in ms for which the
--       ids stay known, 4.. per entry: stream id, outcome to remember or ''
-- Reply how many were still open
-- Cost  O(entries)
--
-- XACK's own count moves the counters: an entry that somebody else settled
-- meanwhile is not counted twice.
--
-- An id key holds the body hash (16 bytes), the state, the stream id and, where
-- an outcome is remembered, a newline and the outcome.
local ids = {}
for a = 4, #ARGV, 2 do
  ids[#ids + 1] = ARGV[a]
end
local acknowledged = redis.call('XACK', KEYS[1], ARGV[1], unpack(ids))
if acknowledged > 0 then
  redis.call('DECRBY', KEYS[2], acknowledged)
  redis.call('INCRBY', KEYS[5], acknowledged)
end
redis.call('HDEL', KEYS[3], unpack(ids))
redis.call('ZREM', KEYS[4], unpack(ids))
for i, id in ipairs(ids) do
  local key, outcome = KEYS[5 + i], ARGV[3 + 2 * i]
  if ARGV[2] == 's' and outcome == '' then
    redis.call('PEXPIRE', key, ARGV[3])
  else
    -- Requeued meanwhile, the key speaks of another stream entry: leave it.
    local known = redis.call('GET', key)
    if known and string.match(known, '^[%d-]+', 18) == id then
      local what = outcome == '' and id or id .. '\n' .. outcome
      redis.call('SET', key, string.sub(known, 1, 16) .. ARGV[2] .. what, 'PX', ARGV[3])
    end
  end
end
return acknowledged
