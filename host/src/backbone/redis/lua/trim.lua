-- Drops from the stream what no group needs any more and `retain` has passed.
--
-- KEYS  1 stream, 2 floor, 3 open counter, 4 lost counter
-- ARGV  1 group, 2 retain in ms
-- Reply how many entries were gone before anybody read them
-- Cost  O(dropped / entries per node)
--
-- XACK deletes nothing; without this the stream grows for ever. It trims before
-- it writes anything else: without memory Redis refuses a script whose first
-- write could use some, and then nothing would ever make room again.
local function parts(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end

-- What a number of Lua cannot count up is the last of its millisecond, which
-- is where `prepare` lets a group begin.
local EXACT = 2 ^ 53

local function after(id)
  local ms, seq = parts(id)
  if seq >= EXACT then
    return ms + 1, 0
  end
  return ms, seq + 1
end

local pending = redis.call('XPENDING', KEYS[1], ARGV[1])
local ms, seq
if pending[1] > 0 then
  ms, seq = parts(pending[2])
else
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    local info = {}
    for i = 1, #group, 2 do
      info[group[i]] = group[i + 1]
    end
    if info['name'] == ARGV[1] then
      ms, seq = after(info['last-delivered-id'])
    end
  end
end
if not ms then
  return redis.error_reply('NOGROUP no consumer group ' .. ARGV[1])
end
local needed = string.format('%.0f-%.0f', ms, seq)
local time = redis.call('TIME')
local bound = time[1] * 1000 + math.floor(time[2] / 1000) - tonumber(ARGV[2])
local upto = ms > bound and string.format('%.0f-0', bound) or needed
redis.call('XTRIM', KEYS[1], 'MINID', '~', upto, 'LIMIT', 100000)
redis.call('SET', KEYS[2], needed)
-- Nothing is pending and nothing unread, so nothing is open. A counter that
-- says otherwise was led astray by somebody who trimmed unread entries, or
-- wrote some of their own, which were settled and had never been counted.
if pending[1] > 0 or #redis.call('XRANGE', KEYS[1], needed, '+', 'COUNT', 1) > 0 then
  return 0
end
local open = tonumber(redis.call('GET', KEYS[3]) or '0')
if open ~= 0 then
  redis.call('SET', KEYS[3], 0)
end
if open > 0 then
  redis.call('INCRBY', KEYS[4], open)
end
return math.max(0, open)
