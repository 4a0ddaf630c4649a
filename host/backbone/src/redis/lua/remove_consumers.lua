-- Removes consumers that hold nothing and whose worker is gone.
--
-- KEYS  1 stream, 2.. heartbeat key of each consumer
-- ARGV  1 group, 2 worker that leaves of its own accord | '', 3.. the
--       consumers, in the order of their keys
-- Reply the names removed
-- Cost  O(consumers)
--
-- XGROUP DELCONSUMER throws away what a consumer still holds, so both are
-- looked at here, in one script. `idle` proves nothing: on Redis 7.0 it grows
-- for a healthy reader too.
local pending = {}
for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local info = {}
  for i = 1, #consumer, 2 do
    info[consumer[i]] = consumer[i + 1]
  end
  pending[info['name']] = info['pending']
end
local removed = {}
for a = 3, #ARGV do
  local name, alive = ARGV[a], KEYS[a - 1]
  local gone = name == ARGV[2] or redis.call('EXISTS', alive) == 0
  if pending[name] == 0 and gone then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], name)
    redis.call('DEL', alive)
    removed[#removed + 1] = name
  end
end
return removed
