-- Appends a dead entry once more.
--
-- KEYS  1 stream, 2 open counter, 3 id key, 4 counter of dead entries
-- ARGV  1 stream id under which it died, 2 body hash (16 bytes), 3 id, 4 body,
--       5.. names and values of attributes
-- Reply 1 appended, 0 it is not dead (any more)
-- Cost  O(1)
--
-- The stream id is the generation that is compared: of two requeues of one
-- dead letter the second finds the entry waiting. An id key that expired
-- meanwhile stands in nobody's way; the ledger still decides each id once.
local known = redis.call('GET', KEYS[3])
if known and (string.sub(known, 17, 17) ~= 'd' or string.match(known, '^[%d-]+', 18) ~= ARGV[1]) then
  return 0
end
local stream_id = redis.call('XADD', KEYS[1], '*', 'id', ARGV[3], 'body', ARGV[4], unpack(ARGV, 5))
redis.call('SET', KEYS[3], ARGV[2] .. 'w' .. stream_id)
redis.call('INCR', KEYS[2])
if known then
  redis.call('DECR', KEYS[4])
end
return 1
