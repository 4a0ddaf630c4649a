-- Removes consumers that hold nothing and whose worker is gone.
--
-- KEYS  1 stream
-- ARGV  1 group, 2 prefix of the heartbeat keys (same slot), 3.. workers that
--       leave of their own accord
-- Reply the names removed
-- Cost  O(consumers)
--
-- XGROUP DELCONSUMER throws away what a consumer still holds, so both are
-- looked at here, in one script. `idle` proves nothing: on Redis 7.0 it grows
-- for a healthy reader too.
local leaving = {}
for a = 3, #ARGV do
  leaving[ARGV[a]] = true
end
local removed = {}
for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local info = {}
  for i = 1, #consumer, 2 do
    info[consumer[i]] = consumer[i + 1]
  end
  local name = info['name']
  local alive = ARGV[2] .. name
  local gone = leaving[name] or redis.call('EXISTS', alive) == 0
  if name ~= 'retry' and info['pending'] == 0 and gone then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], name)
    redis.call('DEL', alive)
    removed[#removed + 1] = name
  end
end
return removed
