-- Creates the consumer group where it is missing: behind what the trimmer
-- recorded as done, else at the beginning.
--
-- KEYS  1 stream, 2 floor, 3 open counter, 4 born
-- ARGV  1 group
-- Reply {1 created | 0 it was there, how many open entries are gone}
-- Cost  O(1); O(entries behind the floor) where a group was there and is gone
--
-- What is behind the floor is delivered once more, so all of it counts as open
-- again, decided or not: settling it lowers the counter once more, too.
local floor = redis.call('GET', KEYS[2])
local start = '0'
if floor then
  local ms, seq = string.match(floor, '^(%d+)-(%d+)$')
  if tonumber(seq) > 0 then
    start = string.format('%s-%.0f', ms, tonumber(seq) - 1)
  else
    start = string.format('%.0f-18446744073709551615', tonumber(ms) - 1)
  end
end
local time = redis.call('TIME')
redis.call('SET', KEYS[4], time[1] .. '.' .. time[2], 'NX')
local created = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], start, 'MKSTREAM')
if created.err then
  if string.find(created.err, 'BUSYGROUP', 1, true) then
    return { 0, 0 }
  end
  return created
end
local open, from = 0, floor
if floor then
  repeat
    local entries = redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', 1000)
    open = open + #entries
    if #entries > 0 then
      from = '(' .. entries[#entries][1]
    end
  until #entries == 0
else
  -- Nothing was trimmed yet: to count a million would stop Redis for seconds.
  open = redis.call('XLEN', KEYS[1])
end
local before = tonumber(redis.call('GET', KEYS[3]) or '0')
redis.call('SET', KEYS[3], open)
return { 1, math.max(0, before - open) }
