-- Appends a group of entries with one commit, each once.
--
-- KEYS  1 stream, 2 open counter, 3 remembered, 4 its minutes, 5.. one id key
--       per entry
-- ARGV  1 most open entries, 2 most bytes of remembered ids | 0 any number,
--       3 arguments per entry, 4.. per entry: body hash
--       (16 bytes), owner | '', id, body, request id, names and values of
--       further fields
-- Reply one word per entry, with spaces between: n<stream id> new,
--       r<stream id>/<owner> replayed, c conflict, f backlog full,
--       m too much is remembered
-- Cost  O(entries), one command for each new one and two for all of them
--
-- The id key of an open entry does not expire; settling gives it its time. One
-- without that time whose entry is gone is of an entry that somebody else
-- trimmed, and stands in nobody's way.
--
-- Redis refuses for want of memory only before a script's first write, so a
-- group is never cut in half.
local width = number(ARGV[3], 'the width', 5, 100)
local room = number(ARGV[1], 'max_backlog', 0, 2 ^ 64) - count(KEYS[2])
-- One call for all: looking them up one by one costs a tenth of the whole.
local known = redis.call('MGET', unpack(KEYS, 5))
-- The same id may come twice in one group.
local set_here = {}
local set = {}
local added = 0
local outcome = {}

local most_remembered = number(ARGV[2], 'remember_memory', 0, 2 ^ 53)
local has_memory = most_remembered == 0 or total_of(KEYS[3], KEYS[4]) < most_remembered
if not has_memory then
  -- The trimmer does it too, but where no worker runs nobody trims.
  forget_expired(KEYS[3], KEYS[4])
  has_memory = total_of(KEYS[3], KEYS[4]) < most_remembered
end

local function is_lost(key, state, stream_id)
  return state == 'w'
    and #redis.call('XRANGE', KEYS[1], stream_id, stream_id) == 0
    and redis.call('PTTL', key) == -1
end

for k = 5, #KEYS do
  local a = 4 + (k - 5) * width
  local value = set_here[KEYS[k]] or known[k - 4]
  local state, stream_id, owner
  if value then
    state, stream_id, owner = known_of(value)
  end
  if value and is_lost(KEYS[k], state, stream_id) then
    value = nil
  end
  if value then
    local same = string.sub(value, 1, 16) == ARGV[a]
    outcome[#outcome + 1] = same and 'r' .. stream_id .. '/' .. owner or 'c'
  elseif added >= room then
    outcome[#outcome + 1] = 'f'
  elseif not has_memory then
    outcome[#outcome + 1] = 'm'
  else
    stream_id = redis.call('XADD', KEYS[1], '*', 'id', ARGV[a + 2], 'body', ARGV[a + 3],
      'request-id', ARGV[a + 4], unpack(ARGV, a + 5, a + width - 1))
    value = ARGV[a] .. 'w' .. stream_id
    if ARGV[a + 1] ~= '' then
      value = value_of(ARGV[a], 'w', stream_id, ARGV[a + 1], '')
    end
    set_here[KEYS[k]] = value
    set[#set + 1] = KEYS[k]
    set[#set + 1] = value
    added = added + 1
    outcome[#outcome + 1] = 'n' .. stream_id
  end
end
if added > 0 then
  redis.call('MSET', unpack(set))
  redis.call('INCRBY', KEYS[2], added)
end
return table.concat(outcome, ' ')
