-- How much is open, and for how long.
--
-- KEYS  1 stream, 2 open counter, 3 due, 4 lost counter, 5 counter of decided
--       entries, 6 of dead ones, 7 remembered
-- ARGV  1 group
-- Reply {open, pending, retrying, lost, ms since the oldest unread entry was
--       appended | -1, as much of the oldest pending one, decided, dead,
--       bytes of remembered ids}
-- Cost  O(groups)
--
-- XINFO's own `lag` is wrong on Redis 7.0 after a trim; ids are milliseconds.
local info = group_info(KEYS[1], ARGV[1])
local pending, last = 0, '0-0'
if info then
  pending, last = info['pending'], info['last-delivered-id']
end

local now = now_ms()
local function age(id)
  return math.max(0, now - tonumber((parts(id))))
end
local waiting_age, pending_age = -1, -1
if pending > 0 then
  pending_age = age(redis.call('XPENDING', KEYS[1], ARGV[1])[2])
end
for _, unread in ipairs(redis.call('XRANGE', KEYS[1], '(' .. last, '+', 'COUNT', 1)) do
  waiting_age = age(unread[1])
end
local retrying = redis.call('ZCARD', KEYS[3])
return {
  count(KEYS[2]), pending, retrying, count(KEYS[4]), waiting_age, pending_age,
  count(KEYS[5]), count(KEYS[6]), tonumber(redis.call('HGET', KEYS[7], 'total') or '0')
}
