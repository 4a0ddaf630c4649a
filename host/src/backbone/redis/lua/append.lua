-- Appends a group of entries with one commit, each once.
--
-- KEYS  1 stream, 2 open counter, 3.. one id key per entry
-- ARGV  1 most open entries, 2 safety time of an id key in ms,
--       3.. per entry: body hash (16 bytes), id, body, API key's name or ''
-- Reply one word per entry, with spaces between: n<stream id> new,
--       r<stream id> replayed, c conflict, f backlog full
-- Cost  O(entries), two commands for a known entry, three for a new one
--
-- Redis refuses for want of memory only before a script's first write, so a
-- group is never cut in half.
local room = tonumber(ARGV[1]) - tonumber(redis.call('GET', KEYS[2]) or '0')
local added = 0
local outcome = {}
for k = 3, #KEYS do
  local a = 3 + (k - 3) * 4
  local known = redis.call('GET', KEYS[k])
  if known then
    local same = string.sub(known, 1, 16) == ARGV[a]
    outcome[#outcome + 1] = same and 'r' .. string.match(known, '^[%d-]+', 18) or 'c'
  elseif added >= room then
    outcome[#outcome + 1] = 'f'
  else
    local stream_id
    if ARGV[a + 3] == '' then
      stream_id = redis.call('XADD', KEYS[1], '*', 'id', ARGV[a + 1], 'body', ARGV[a + 2])
    else
      stream_id = redis.call('XADD', KEYS[1], '*', 'id', ARGV[a + 1], 'body', ARGV[a + 2], 'key', ARGV[a + 3])
    end
    redis.call('SET', KEYS[k], ARGV[a] .. 'w' .. stream_id, 'PX', ARGV[2])
    added = added + 1
    outcome[#outcome + 1] = 'n' .. stream_id
  end
end
if added > 0 then
  redis.call('INCRBY', KEYS[2], added)
end
return table.concat(outcome, ' ')
