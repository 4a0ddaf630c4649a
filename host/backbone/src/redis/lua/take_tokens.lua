-- Takes tokens of a bucket that fills up by itself.
--
-- KEYS  1 bucket
-- ARGV  1 tokens of a full bucket, 2 ms in which an empty one fills up, 3 tokens
--       to take, 4 tokens that have to be there
-- Reply {1 taken | 0 too few were there, tokens left, ms until there is one, ms
--       until it is full}
-- Cost  O(1)
--
-- What is not there is full. A bucket from which more was taken than it had is in
-- debt: a number below 0, that fills up like any other. A bucket that has nothing
-- to give is not written, so a client that hammers costs no fsync.
local capacity = number(ARGV[1], 'the rate', 1, 2 ^ 32)
local fill = number(ARGV[2], 'the time of the rate', 1, 2 ^ 32)
local wanted = number(ARGV[3], 'the tokens', 0, 2 ^ 32)
local least = number(ARGV[4], 'the least tokens', 0, 2 ^ 32)
local now = now_ms()
local tokens = capacity
local left, at = string.match(redis.call('GET', KEYS[1]) or '', '^(%-?%d+%.?%d*) (%d+)$')
if left then
  local passed = math.max(0, now - tonumber(at))
  tokens = math.min(capacity, tonumber(left) + passed * capacity / fill)
end
local function until_there_are(count)
  return math.ceil((count - tokens) * fill / capacity)
end
local taken = tokens >= least
if taken then
  tokens = tokens - wanted
  local keep = digits(math.max(fill, until_there_are(capacity)))
  redis.call('SET', KEYS[1], string.format('%.6f %.0f', tokens, now), 'PX', keep)
end
local wait = taken and 0 or until_there_are(1)
return { taken and 1 or 0, math.max(0, math.floor(tokens)), wait, until_there_are(capacity) }
