-- Renews the leases of entries that a worker holds.
--
-- KEYS  1 stream
-- ARGV  1 group, 2 worker, 3.. stream ids
-- Reply the stream ids that it still holds
-- Cost  O(entries * log pending)
--
-- The owner is checked first: a plain XCLAIM would also take back entries that
-- another worker took over while this one was judging. It also silently drops
-- what was trimmed: such an entry is left as it is, its holder may still settle it.
local held = {}
for a = 3, #ARGV do
  if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[a], ARGV[a], 1, ARGV[2]) > 0 then
    if #redis.call('XRANGE', KEYS[1], ARGV[a], ARGV[a]) > 0 then
      redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[a], 'JUSTID')
    end
    held[#held + 1] = ARGV[a]
  end
end
return held
