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
local id = string.match(known, '^[%d-]+', 18)
if string.sub(known, 17, 17) == 'd' then
  return { id, 'dead', 0 }
end
if string.sub(known, 17, 17) == 's' then
  return { id, 'settled', 0 }
end
if #redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1) > 0 then
  return { id, 'pending', 0 }
end
local last
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local info = {}
  for i = 1, #group, 2 do
    info[group[i]] = group[i + 1]
  end
  if info['name'] == ARGV[1] then
    last = info['last-delivered-id']
  end
end
local function parts(text)
  local ms, seq = string.match(text, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end
if last then
  local ms, seq = parts(id)
  local last_ms, last_seq = parts(last)
  if ms < last_ms or (ms == last_ms and seq <= last_seq) then
    return { id, 'settled', 0 }
  end
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
