-- Where an entry is.
--
-- KEYS  1 stream, 2 id key
-- ARGV  1 group, 2 count at most so many
-- Reply false, or {stream id, dead | pending | waiting | settled, unread ahead}
-- Cost  O(unread entries before it, up to the limit)
local known = redis.call('GET', KEYS[2])
if not known then
  return false
end
local state, id = known_of(known)
if state == 'd' then
  return { id, 'dead', 0 }
end
if state == 's' then
  return { id, 'settled', 0 }
end
local last = last_read(KEYS[1], ARGV[1])
if last and #redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1) > 0 then
  return { id, 'pending', 0 }
end
if last and not is_before(last, id) then
  return { id, 'settled', 0 }
end
local ahead, from = 0, '(' .. (last or '0-0')
repeat
  local entries = redis.call('XRANGE', KEYS[1], from, '(' .. id, 'COUNT', 1000)
  ahead = ahead + #entries
  if #entries > 0 then
    from = '(' .. entries[#entries][1]
  end
until #entries == 0 or ahead >= tonumber(ARGV[2])
return { id, 'waiting', ahead }
