-- Takes one token of a bucket that fills up by itself.
--
-- KEYS  1 bucket
-- ARGV  1 tokens of a full bucket, 2 ms in which an empty one fills up
-- Reply {1 taken | 0 there was none, tokens left, ms until there is one, ms
--       until it is full}
-- Cost  O(1)
--
-- What is not there is full. A bucket that has nothing to give is not written,
-- so a client that hammers costs no fsync.
local capacity, fill = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local tokens = capacity
local left, at = string.match(redis.call('GET', KEYS[1]) or '', '^([%d.]+) (%d+)$')
if left then
  local passed = math.max(0, now - tonumber(at))
  tokens = math.min(capacity, tonumber(left) + passed * capacity / fill)
end
local taken = tokens >= 1
if taken then
  tokens = tokens - 1
  redis.call('SET', KEYS[1], string.format('%.6f %.0f', tokens, now), 'PX', fill)
end
local wait = taken and 0 or math.ceil((1 - tokens) * fill / capacity)
return { taken and 1 or 0, math.floor(tokens), wait, math.ceil((capacity - tokens) * fill / capacity) }
