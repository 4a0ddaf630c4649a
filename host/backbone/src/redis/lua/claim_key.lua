-- Remembers which id an Idempotency-Key stands for, the first time it is seen.
--
-- KEYS  1 idempotency key, 2 remembered, 3 its minutes
-- ARGV  1 body hash (16 bytes), 2 id, 3 ms to remember it, 4 most bytes of
--       remembered ids | 0 any number, 5 most bytes beyond which that time
--       becomes shorter | 0 never
-- Reply the id that it stands for; false where it came with another body
-- Cost  O(1)
--
-- Where too much is remembered, no new entry is taken, and so no new key is
-- remembered.
local keep = number(ARGV[3], 'the time to remember a key', 1, 2 ^ 52)
local most_remembered = number(ARGV[4], 'remember_memory', 0, 2 ^ 53)
local before_shorter = number(ARGV[5], 'remember_memory', 0, 2 ^ 53)
local known = redis.call('GET', KEYS[1])
if not known then
  local total = total_of(KEYS[2], KEYS[3])
  if most_remembered == 0 or total < most_remembered then
    local value = ARGV[1] .. ARGV[2]
    keep = shortened(keep, total, before_shorter)
    redis.call('SET', KEYS[1], value, 'PX', digits(keep))
    count_remembered(KEYS[2], KEYS[3], bytes_of(KEYS[1], value), keep)
  end
  return ARGV[2]
end
if string.sub(known, 1, 16) ~= ARGV[1] then
  return false
end
return string.sub(known, 17)
