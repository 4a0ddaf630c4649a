-- Acknowledges entries whose decision is stored, or that are buried.
--
-- KEYS  1 stream, 2 open counter, 3 faults, 4 due, 5 counter of decided or of
--       dead entries, 6 remembered, 7 its minutes, 8.. one id key per entry
-- ARGV  1 group, 2 state ('s' settled, 'd' dead), 3 time in ms for which the
--       ids stay known, 4 most bytes of remembered ids beyond which that time
--       becomes shorter | 0 never, 5.. per entry: stream id, outcome to
--       remember or ''
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
redis.call('HLEN', KEYS[3])
redis.call('ZCARD', KEYS[4])
total_of(KEYS[6], KEYS[7])
local ids = {}
for a = 5, #ARGV, 2 do
  ids[#ids + 1] = ARGV[a]
end

local acknowledged = redis.call('XACK', KEYS[1], ARGV[1], unpack(ids))
if acknowledged > 0 then
  redis.call('DECRBY', KEYS[2], acknowledged)
  redis.call('INCRBY', KEYS[5], acknowledged)
end
redis.call('HDEL', KEYS[3], unpack(ids))
redis.call('ZREM', KEYS[4], unpack(ids))
forget_expired(KEYS[6], KEYS[7])
known_for = shortened(known_for, total_of(KEYS[6], KEYS[7]), most_remembered)
local expires = digits(known_for)
local bytes = 0

-- While an entry is open, its id key speaks of it alone; only a requeue, which
-- comes after an entry was acknowledged, makes the key speak of another one. So
-- where all entries were open, their keys need not be read, which would take a
-- fifth of the script's time. What a value has besides the stream id is then
-- taken from the first key: mostly all entries of a flow have an owner, or none has.
local all_were_open = acknowledged == #ids
local length = redis.pcall('STRLEN', KEYS[8])
local beside_id = type(length) == 'number' and math.max(17, length - #ids[1]) or 17
local call, is_settled = redis.call, ARGV[2] == 's'
for i, id in ipairs(ids) do
  local outcome, key = ARGV[4 + 2 * i], KEYS[7 + i]
  if all_were_open and is_settled and outcome == '' then
    if call('PEXPIRE', key, expires) == 1 then
      bytes = bytes + bytes_of(key, id) + beside_id
    end
  else
    -- GET would end the script where the key is of another type.
    local value = call('MGET', key)[1]
    if value and is_of(value, id) then
      if not is_settled or outcome ~= '' then
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
