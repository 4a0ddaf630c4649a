-- Takes over what is due again, and what no living worker holds any more.
--
-- KEYS  1 stream, 2 faults, 3 due, 4 open counter, 5 lost counter
-- ARGV  1 group, 2 worker, 3 most entries, 4 lease in ms
-- Reply {entries, lost}: per entry {stream id, fields, deliveries, attempts},
--       lost the stream ids that were trimmed while pending
-- Cost  O(entries * log pending + consumers)
--
-- Holders renew what they hold, so an entry that is idle for longer than the
-- lease has been forgotten: by a worker that died, or stopped, or by this one.
-- What waits in `retry` is idle by intent; it is found through `due` alone, so
-- that a long backoff never stands in front of an abandoned entry.
local stream, group, worker = KEYS[1], ARGV[1], ARGV[2]
local most = number(ARGV[3], 'most entries', 0, 2 ^ 31)
number(ARGV[4], 'the lease', 1, 2 ^ 53)
count(KEYS[4])
count(KEYS[5])
redis.call('HLEN', KEYS[2])
local entries, lost = {}, {}

local function take(id, owner)
  local held = redis.call('XPENDING', stream, group, id, id, 1, owner)
  redis.call('ZREM', KEYS[3], id)
  if #held == 0 then
    return
  end
  -- XCLAIM silently drops what was trimmed: look first, and count it as lost.
  if #redis.call('XRANGE', stream, id, id) == 0 then
    redis.call('DECRBY', KEYS[4], redis.call('XACK', stream, group, id))
    redis.call('HDEL', KEYS[2], id)
    redis.call('INCR', KEYS[5])
    lost[#lost + 1] = id
    return
  end
  local claimed = redis.call('XCLAIM', stream, group, worker, 0, id)
  local record = redis.call('HGET', KEYS[2], id) or ''
  local attempts = tonumber(string.match(record, '^(%d+) ') or '0')
  entries[#entries + 1] = { id, claimed[1][2], held[1][4] + 1, attempts }
end

local now = digits(now_ms())
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now, 'LIMIT', 0, most)) do
  take(id, 'retry')
end
for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group)) do
  local name = consumer[2]
  if name ~= 'retry' and #entries < most then
    local idle = redis.call('XPENDING', stream, group, 'IDLE', ARGV[4], '-', '+', most - #entries, name)
    for _, pending in ipairs(idle) do
      take(pending[1], name)
    end
  end
end
return { entries, lost }
