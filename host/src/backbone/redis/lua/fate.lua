-- How far an entry has come.
--
-- KEYS  1 stream, 2 id key
-- ARGV  1 group
-- Reply false, or {stream id, dead | settled | waiting | processing,
--       outcome of a settled entry | body of an open one | ''}
-- Cost  O(log pending)
--
-- Nobody writes down who is at work on an entry: the pending list says it.
local known = redis.call('GET', KEYS[2])
if not known then
  return false
end
local state = string.sub(known, 17, 17)
local id, outcome = string.match(known, '^([%d-]+)\n?(.*)$', 18)
if state == 'd' then
  return { id, 'dead', '' }
elseif state == 's' then
  return { id, 'settled', outcome }
end

local function body()
  for _, entry in ipairs(redis.call('XRANGE', KEYS[1], id, id)) do
    for i = 1, #entry[2], 2 do
      if entry[2][i] == 'body' then
        return entry[2][i + 1]
      end
    end
  end
  return ''
end

local held = redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1)
if #held > 0 then
  return { id, held[1][2] == 'retry' and 'waiting' or 'processing', body() }
end
local last = '0-0'
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
local ms, seq = parts(id)
local last_ms, last_seq = parts(last)
if ms < last_ms or (ms == last_ms and seq <= last_seq) then
  return { id, 'settled', '' }
end
return { id, 'waiting', body() }
