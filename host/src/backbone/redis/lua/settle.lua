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
-- meanwhile is not counted twice. It is the first write, which Redis takes
-- without memory, and after it the script's others.
local known_for = digits(number(ARGV[3], 'remember', 0, 2 ^ 52))
count(KEYS[2])
count(KEYS[5])
redis.call('HLEN', KEYS[3])
redis.call('ZCARD', KEYS[4])
local known = redis.call('MGET', unpack(KEYS, 6))
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
  local value, outcome = known[i], ARGV[3 + 2 * i]
  local state, stream_id, owner
  if value then
    state, stream_id, owner = known_of(value)
  end
  -- Requeued meanwhile, the key speaks of another entry of the stream, which is
  -- open: it is left as it is.
  if stream_id == id then
    if ARGV[2] == 'd' or outcome ~= '' then
      redis.call('SET', KEYS[5 + i], value_of(string.sub(value, 1, 16), ARGV[2], id, owner, outcome))
    end
    redis.call('PEXPIRE', KEYS[5 + i], known_for)
  end
end
return acknowledged
