-- Appends a group of entries with one commit, each once.
--
-- KEYS  1 stream, 2 open counter, 3.. one id key per entry
-- ARGV  1 most open entries, 2 safety time of an id key in ms,
--       3.. per entry: body hash (16 bytes), id, body, API key's name or ''
-- Reply one word per entry, with spaces between: n<stream id> new,
--       r<stream id> replayed, c conflict, f backlog full
-- Cost  O(entries), one command for all of them and two for each new one
--
-- Redis refuses for want of memory only before a script's first write, so a
-- group is never cut in half.
local room = tonumber(ARGV[1]) - tonumber(redis.call('GET', KEYS[2]) or '0')
-- One call for all: looking them up one by one costs a tenth of the whole.
local known = redis.call('MGET', unpack(KEYS, 3))
-- The same id may come twice in one group.
local set_here = {}
local added = 0
local outcome = {}
for k = 3, #KEYS do
  local a = 3 + (k - 3) * 4
  local value = known[k - 2] or set_here[KEYS[k]]
  if value then
    local same = string.sub(value, 1, 16) == ARGV[a]
    outcome[#outcome + 1] = same and 'r' .. string.match(value, '^[%d-]+', 18) or 'c'
  elseif added >= room then
    outcome[#outcome + 1] = 'f'
  else
    local stream_id
    if ARGV[a + 3] == '' then
      stream_id = redis.call('XADD', KEYS[1], '*', 'id', ARGV[a + 1], 'body', ARGV[a + 2])
    else
      stream_id = redis.call('XADD', KEYS[1], '*', 'id', ARGV[a + 1], 'body', ARGV[a + 2], 'key', ARGV[a + 3])
    end
    value = ARGV[a] .. 'w' .. stream_id
    set_here[KEYS[k]] = value
    redis.call('SET', KEYS[k], value, 'PX', ARGV[2])
    added = added + 1
    outcome[#outcome + 1] = 'n' .. stream_id
  end
end
if added > 0 then
  redis.call('INCRBY', KEYS[2], added)
end
return table.concat(outcome, ' ')
