-- Deletes what the stream still has of a settled entry, and what is remembered
-- of its decision.
--
-- KEYS  1 stream, 2 id key
-- ARGV  1 group, 2.. stream ids that the ledger knows it by
-- Reply how many there were of both, -1 where it is still open: then nothing
--       was deleted
-- Cost  O(stream ids * log pending)
--
-- It is open until it is acknowledged: whoever holds it would find nothing.
local ids = {}
for a = 2, #ARGV do
  ids[#ids + 1] = ARGV[a]
end
local known = redis.call('GET', KEYS[2])
local state, stream_id, owner, outcome
if known then
  state, stream_id, owner, outcome = known_of(known)
  ids[#ids + 1] = stream_id
end

local last = last_read(KEYS[1], ARGV[1]) or '0-0'
for _, id in ipairs(ids) do
  if #redis.call('XRANGE', KEYS[1], id, id) > 0 then
    if is_before(last, id) or #redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1) > 0 then
      return -1
    end
  end
end

local erased = 0
for _, id in ipairs(ids) do
  erased = erased + redis.call('XDEL', KEYS[1], id)
end
if state == 's' and outcome ~= '' then
  local value = value_of(string.sub(known, 1, 16), state, stream_id, owner, '')
  redis.call('SET', KEYS[2], value, 'KEEPTTL')
  erased = erased + 1
end
return erased
