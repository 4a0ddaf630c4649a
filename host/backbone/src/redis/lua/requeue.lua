-- Appends a dead entry once more.
--
-- KEYS  1 stream, 2 open counter, 3 id key, 4 counter of dead entries
-- ARGV  1 stream id under which it died, 2 body hash (16 bytes), 3 owner | '',
--       4 id, 5 body, 6.. names and values of attributes
-- Reply 1 appended, 0 it is not dead (any more)
-- Cost  O(1)
--
-- The stream id is the generation that is compared: of two requeues of one
-- dead letter the second finds the entry waiting. An id key that expired
-- meanwhile stands in nobody's way; the ledger still decides each id once.
count(KEYS[2])
count(KEYS[4])
local known = redis.call('GET', KEYS[3])
local owner = ARGV[3]
if known then
  local state, died_as, of = known_of(known)
  if state ~= 'd' or died_as ~= ARGV[1] then
    return 0
  end
  owner = of
end
local stream_id = redis.call('XADD', KEYS[1], '*', 'id', ARGV[4], 'body', ARGV[5], unpack(ARGV, 6))
redis.call('SET', KEYS[3], value_of(ARGV[2], 'w', stream_id, owner, ''))
redis.call('INCR', KEYS[2])
if known then
  redis.call('DECR', KEYS[4])
end
return 1
