-- Creates the consumer group where it is missing: behind what the trimmer
-- recorded as done, else at the beginning. Notes the layout of the keys.
--
-- KEYS  1 stream, 2 floor, 3 open counter, 4 born, 5 layout
-- ARGV  1 group, 2 layout that this process writes, 3 oldest layout by which
--       what it writes can be read
-- Reply {1 created | 0 it was there, how many open entries are gone}
-- Cost  O(1); O(entries behind the floor) where a group was there and is gone
--
-- What is behind the floor is delivered once more, so all of it counts as open
-- again, decided or not: settling it lowers the counter once more, too.
local layout = number(ARGV[2], 'the layout', 1, 2 ^ 31)
local before_open = count(KEYS[3])
local noted = string.match(redis.call('GET', KEYS[5]) or '', '^(%d+) ')
local floor = redis.call('GET', KEYS[2])
if floor and not parts(floor) then
  refuse('the floor ' .. KEYS[2] .. ' is not a stream id')
end
local start = floor and before(floor) or '0'
local created = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], start, 'MKSTREAM')
local is_new = not created.err
if created.err and not string.find(created.err, 'BUSYGROUP', 1, true) then
  return created
end
if not noted or tonumber(noted) < layout then
  redis.call('SET', KEYS[5], ARGV[2] .. ' ' .. ARGV[3])
end
local time = redis.call('TIME')
redis.call('SET', KEYS[4], time[1] .. '.' .. time[2], 'NX')
if not is_new then
  return { 0, 0 }
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
redis.call('SET', KEYS[3], open)
return { 1, math.max(0, before_open - open) }
