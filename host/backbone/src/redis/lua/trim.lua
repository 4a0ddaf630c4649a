-- Drops from the stream what no group needs any more and `retain` has passed.
--
-- KEYS  1 stream, 2 floor, 3 open counter, 4 lost counter, 5 remembered, 6 its
--       minutes
-- ARGV  1 group, 2 retain in ms
-- Reply how many entries were gone before anybody read them
-- Cost  O(dropped / entries per node)
--
-- XACK deletes nothing; without this the stream grows forever. It trims before
-- it writes anything else: without memory Redis refuses a script whose first
-- write could use some, and then nothing would ever make room again.
local retain = number(ARGV[2], 'retain', 0, 2 ^ 52)
local open = count(KEYS[3])
count(KEYS[4])
total_of(KEYS[5], KEYS[6])
local pending = redis.call('XPENDING', KEYS[1], ARGV[1])
local needed
if pending[1] > 0 then
  needed = pending[2]
else
  local last = last_read(KEYS[1], ARGV[1])
  if not last then
    return redis.error_reply('NOGROUP no consumer group ' .. ARGV[1])
  end
  needed = after(last)
end
local bound = digits(math.max(0, now_ms() - retain)) .. '-0'
local upto = is_before(bound, needed) and bound or needed
redis.call('XTRIM', KEYS[1], 'MINID', '~', upto, 'LIMIT', 100000)
redis.call('SET', KEYS[2], needed)
forget_expired(KEYS[5], KEYS[6])
-- Nothing is pending and nothing unread, so nothing is open. A counter that
-- says otherwise was led astray by somebody who trimmed unread entries, or
-- wrote some of their own, which were settled and had never been counted.
if pending[1] > 0 or #redis.call('XRANGE', KEYS[1], needed, '+', 'COUNT', 1) > 0 then
  return 0
end
if open ~= 0 then
  redis.call('SET', KEYS[3], 0)
end
if open > 0 then
  redis.call('INCRBY', KEYS[4], open)
end
return math.max(0, open)
