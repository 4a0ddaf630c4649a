-- Records one fault each of entries that a worker holds, and moves those with
-- attempts left to the pseudo-consumer `retry`.
--
-- KEYS  1 stream, 2 faults, 3 due
-- ARGV  1 group, 2 worker, 3 attempts, 4 first backoff in ms, 5 factor,
--       6 longest backoff in ms, 7.. per entry: stream id, fault as JSON
-- Reply per entry {attempts, first fault in Unix ms, 1 retried | 0 exhausted},
--       attempts 0 where the worker does not hold it
-- Cost  O(entries * log pending)
--
-- XCLAIM silently drops what was trimmed: such an entry is left as it is, and
-- `claim` counts it as lost when its lease has run out.
--
-- A record is `<attempts> <first ms> <last ms>` and, on the next line, the fault.
local now = now_ms()
local most = number(ARGV[3], 'attempts', 1, 2 ^ 32)
local first_backoff = number(ARGV[4], 'retry.first', 0, 2 ^ 52)
local factor = number(ARGV[5], 'retry.factor', 1, 2 ^ 20)
local longest = number(ARGV[6], 'retry.max', 0, 2 ^ 52)
redis.call('HLEN', KEYS[2])
redis.call('ZCARD', KEYS[3])
local reply = {}
for a = 7, #ARGV, 2 do
  local id, fault = ARGV[a], ARGV[a + 1]
  local held = redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1, ARGV[2])
  if #held == 0 then
    reply[#reply + 1] = { 0, 0, 0 }
  else
    local record = redis.call('HGET', KEYS[2], id) or ''
    local attempts, first = string.match(record, '^(%d+) (%d+) ')
    attempts = tonumber(attempts or '0') + 1
    first = tonumber(first or now)
    -- What a worker holds is not due, so this changes nothing; but it is a write
    -- that Redis takes without memory, and after it the script's others.
    redis.call('ZREM', KEYS[3], id)
    redis.call('HSET', KEYS[2], id, string.format('%d %.0f %.0f\n%s', attempts, first, now, fault))
    local again = attempts < most
    if again and #redis.call('XRANGE', KEYS[1], id, id) > 0 then
      local backoff = math.min(longest, first_backoff * math.min(factor ^ (attempts - 1), 2 ^ 52))
      redis.call('XCLAIM', KEYS[1], ARGV[1], 'retry', 0, id, 'JUSTID')
      redis.call('ZADD', KEYS[3], digits(now + backoff), id)
    end
    reply[#reply + 1] = { attempts, first, again and 1 or 0 }
  end
end
return reply
