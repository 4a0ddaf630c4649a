-- Hands entries that a worker holds to the pseudo-consumer `retry`, due at
-- once and without a fault.
--
-- KEYS  1 stream, 2 due
-- ARGV  1 group, 2 worker, 3.. stream ids; none: up to 1000 that it holds
-- Reply how many were handed back
-- Cost  O(entries * log pending)
--
-- XCLAIM silently drops what was trimmed: such an entry is left as it is, and
-- `claim` counts it as lost when its lease has run out.
local ids = {}
for a = 3, #ARGV do
  if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[a], ARGV[a], 1, ARGV[2]) > 0 then
    ids[#ids + 1] = ARGV[a]
  end
end
if #ARGV == 2 then
  for _, held in ipairs(redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1000, ARGV[2])) do
    ids[#ids + 1] = held[1]
  end
end
local now = digits(now_ms())
redis.call('ZCARD', KEYS[2])
local handed_back = 0
for _, id in ipairs(ids) do
  if #redis.call('XRANGE', KEYS[1], id, id) > 0 then
    redis.call('XCLAIM', KEYS[1], ARGV[1], 'retry', 0, id, 'JUSTID')
    redis.call('ZADD', KEYS[2], now, id)
    handed_back = handed_back + 1
  end
end
return handed_back
