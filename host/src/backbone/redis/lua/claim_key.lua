-- Remembers which id an Idempotency-Key stands for, the first time it is seen.
--
-- KEYS  1 idempotency key
-- ARGV  1 body hash (16 bytes), 2 id, 3 ms to remember it
-- Reply the id that it stands for; false where it came with another body
-- Cost  O(1)
local keep = digits(number(ARGV[3], 'the time to remember a key', 1, 2 ^ 52))
local known = redis.call('GET', KEYS[1])
if not known then
  redis.call('SET', KEYS[1], ARGV[1] .. ARGV[2], 'PX', keep)
  return ARGV[2]
end
if string.sub(known, 1, 16) ~= ARGV[1] then
  return false
end
return string.sub(known, 17)
