-- How far an entry has come.
--
-- KEYS  1 stream, 2 id key
-- ARGV  1 group
-- Reply false, or {stream id, owner | '', dead | settled | waiting | processing,
--       outcome of a settled entry | body of an open one | ''}
-- Cost  O(log pending)
--
-- Nobody writes down who is at work on an entry: the pending list says it.
local known = redis.call('GET', KEYS[2])
if not known then
  return false
end
local state, id, owner, outcome = known_of(known)
if state == 'd' then
  return { id, owner, 'dead', '' }
elseif state == 's' then
  return { id, owner, 'settled', outcome }
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

local last = last_read(KEYS[1], ARGV[1])
local held = last and redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1) or {}
if #held > 0 then
  return { id, owner, held[1][2] == 'retry' and 'waiting' or 'processing', body() }
end
if last and not is_before(last, id) then
  return { id, owner, 'settled', '' }
end
return { id, owner, 'waiting', body() }
