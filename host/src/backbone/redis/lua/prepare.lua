-- Creates the consumer group where it is missing: behind what the trimmer
-- recorded as done, else at the beginning.
--
-- KEYS  1 stream, 2 floor
-- ARGV  1 group
-- Reply 1 created, 0 it was there
-- Cost  O(1)
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
local created = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], start, 'MKSTREAM')
if created.err then
  if string.find(created.err, 'BUSYGROUP', 1, true) then
    return 0
  end
  return created
end
return 1
