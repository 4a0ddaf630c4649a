-- Acknowledges entries whose decision is stored, or that are buried.
--
-- KEYS  1 stream, 2 open counter, 3 faults, 4 due, 5 counter of decided or of
--       dead entries, 6 remembered, 7 its minutes, 8.. one id key per entry
-- ARGV  1 group, 2 state ('s' settled, 'd' dead), 3 time in ms for which the
--       ids stay known, 4 most bytes of remembered ids beyond which that time
--       becomes shorter | 0 never, 5.. one stream id per entry; then, where an
--       outcome is remembered, one outcome or '' per entry
-- Reply how many were still open
-- Cost  O(entries)
--
-- XACK's own count moves the counters: an entry that somebody else settled
-- meanwhile is not counted twice. It is the first write, which Redis takes
-- without memory, and after it the script's others.
local known_for = number(ARGV[3], 'remember', 0, 2 ^ 52)
local most_remembered = number(ARGV[4], 'remember_memory', 0, 2 ^ 53)
count(KEYS[2])
count(KEYS[5])
local call, entries = redis.call, #KEYS - 7
local faults, due = call('HLEN', KEYS[3]), call('ZCARD', KEYS[4])
total_of(KEYS[6], KEYS[7])

local acknowledged = call('XACK', KEYS[1], ARGV[1], unpack(ARGV, 5, 4 + entries))
if acknowledged > 0 then
  call('DECRBY', KEYS[2], acknowledged)
  call('INCRBY', KEYS[5], acknowledged)
end
-- Both keys are mostly empty, and asking for their sizes takes less time than
-- handing every id to Redis.
if faults > 0 then
  call('HDEL', KEYS[3], unpack(ARGV, 5, 4 + entries))
end
if due > 0 then
  call('ZREM', KEYS[4], unpack(ARGV, 5, 4 + entries))
end
forget_expired(KEYS[6], KEYS[7])
known_for = shortened(known_for, total_of(KEYS[6], KEYS[7]), most_remembered)
local expires = digits(known_for)
local bytes = 0

-- While an entry is open, its id key speaks of it alone; only a requeue, which
-- comes after an entry was acknowledged, makes the key speak of another one. So
-- where all entries were open and no outcome is written, their keys need not be
-- read. What a value has besides the stream id is then taken from the first key:
-- mostly all entries of a flow have an owner, or none has.
if acknowledged == entries and ARGV[2] == 's' and #ARGV == 4 + entries then
  local length = redis.pcall('STRLEN', KEYS[8])
  local beside_id = type(length) == 'number' and length - #ARGV[5] or 0
  local each = bytes_of('', '') + math.max(17, beside_id)
  for i = 1, entries do
    local key = KEYS[7 + i]
    if call('PEXPIRE', key, expires) == 1 then
      bytes = bytes + each + #key + #ARGV[4 + i]
    end
  end
else
  for i = 1, entries do
    local key, id, outcome = KEYS[7 + i], ARGV[4 + i], ARGV[4 + entries + i] or ''
    -- GET would end the script where the key is of another type.
    local value = call('MGET', key)[1]
    if value and is_of(value, id) then
      if ARGV[2] ~= 's' or outcome ~= '' then
        local _, _, owner = known_of(value)
        value = value_of(string.sub(value, 1, 16), ARGV[2], id, owner, outcome)
        call('SET', key, value, 'KEEPTTL')
      end
      -- Settled once more, it is counted already.
      if call('PEXPIRE', key, expires, 'NX') == 1 then
        bytes = bytes + bytes_of(key, value)
      end
    end
  end
end
count_remembered(KEYS[6], KEYS[7], bytes, known_for)
return acknowledged
