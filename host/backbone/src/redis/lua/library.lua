-- Stands in front of every script, with which it is sent as one text.
--
-- Both numbers of a stream id reach 2^64, and a number of Lua is exact only up
-- to 2^53: stream ids are compared and counted as decimal digits.
--
-- The value of an id key is the body hash (16 bytes), the state (`w` waiting,
-- `s` settled, `d` dead) and the stream id; then, where an owner is remembered,
-- a space and 16 hexadecimal digits; then, where an outcome is remembered, a
-- newline and the outcome. Layout 1 of a partition's keys has no owner.

-- Says whether digits `a` are a smaller number than `b`; neither begins with 0.
local function is_less(a, b)
  if #a ~= #b then
    return #a < #b
  end
  return a < b
end

local function parts(stream_id)
  return string.match(stream_id, '^(%d+)-(%d+)$')
end

-- Says whether stream id `a` comes before `b`.
local function is_before(a, b)
  local a_ms, a_seq = parts(a)
  local b_ms, b_seq = parts(b)
  if a_ms == b_ms then
    return is_less(a_seq, b_seq)
  end
  return is_less(a_ms, b_ms)
end

local LARGEST = '18446744073709551615'

-- Adds 1 to the digits, or subtracts it.
local function step(digits, up)
  local turned, turns = up and '9' or '0', up and '0' or '9'
  local head, tail = string.match(digits, '^(.-)(' .. turned .. '*)$')
  local digit = tonumber(string.sub(head, -1)) or 0
  local changed = string.sub(head, 1, -2) .. (up and digit + 1 or digit - 1) .. string.rep(turns, #tail)
  return string.match(changed, '^0*(%d+)$')
end

-- Returns the smallest stream id behind this one.
local function after(stream_id)
  local ms, seq = parts(stream_id)
  if seq == LARGEST then
    return step(ms, true) .. '-0'
  end
  return ms .. '-' .. step(seq, true)
end

-- Returns the largest stream id before this one, which is not 0-0.
local function before(stream_id)
  local ms, seq = parts(stream_id)
  if seq == '0' then
    return step(ms, false) .. '-' .. LARGEST
  end
  return ms .. '-' .. step(seq, false)
end

-- Returns state, stream id, owner | '' and outcome | '' of an id key's value.
local function known_of(value)
  local stream_id, owner, outcome = string.match(value, '^([%d-]+) ?(%x*)\n?(.*)$', 18)
  return string.sub(value, 17, 17), stream_id, owner, outcome
end

-- Says whether an id key's value speaks of this stream id, without taking it apart.
local function is_of(value, stream_id)
  local last = 17 + #stream_id
  if string.sub(value, 18, last) ~= stream_id then
    return false
  end
  local behind = string.byte(value, last + 1)
  return behind == nil or behind == 32 or behind == 10
end

-- Returns the value of an id key.
local function value_of(body_hash, state, stream_id, owner, outcome)
  if owner ~= '' then
    stream_id = stream_id .. ' ' .. owner
  end
  if outcome ~= '' then
    stream_id = stream_id .. '\n' .. outcome
  end
  return body_hash .. state .. stream_id
end

-- Returns what XINFO GROUPS says of a group; nil where it is missing.
local function group_info(stream, group)
  local groups = redis.pcall('XINFO', 'GROUPS', stream)
  if groups.err then
    return nil
  end
  for _, found in ipairs(groups) do
    local info = {}
    for i = 1, #found, 2 do
      info[found[i]] = found[i + 1]
    end
    if info['name'] == group then
      return info
    end
  end
end

-- Returns the stream id up to which a group has read; nil where it is missing.
local function last_read(stream, group)
  local info = group_info(stream, group)
  return info and info['last-delivered-id']
end

-- Returns Unix milliseconds.
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Returns a whole number as the digits that Redis takes.
local function digits(number)
  return string.format('%.0f', number)
end

-- What ids and keys that expire take up is counted by the minute in which they
-- expire: in the hash `remembered`, whose field `total` is the sum, and whose
-- fields stand in the sorted set `minutes` by their number.

-- Lowers the sum by what has expired. Cost O(minutes).
local function forget_expired(remembered, minutes)
  local now = digits(math.floor(now_ms() / 60000))
  for _, minute in ipairs(redis.call('ZRANGEBYSCORE', minutes, '-inf', now, 'LIMIT', 0, 1000)) do
    local bytes = redis.call('HGET', remembered, minute) or '0'
    redis.call('ZREM', minutes, minute)
    redis.call('HDEL', remembered, minute)
    redis.call('HINCRBY', remembered, 'total', '-' .. bytes)
  end
end

-- Counts bytes that expire in so many ms. What is remembered for long is counted
-- by more than a minute, so that there are no more than some 1440 fields.
local function count_remembered(remembered, minutes, bytes, known_for)
  if bytes == 0 then
    return
  end
  local width = math.max(1, math.ceil(known_for / (1440 * 60000)))
  local minute = math.ceil((now_ms() + known_for) / 60000 / width) * width
  redis.call('HINCRBY', remembered, digits(minute), digits(bytes))
  redis.call('HINCRBY', remembered, 'total', digits(bytes))
  redis.call('ZADD', minutes, digits(minute), digits(minute))
end

-- Returns about how many bytes a key takes up: measured on Redis 7.0, with the
-- time at which it expires.
local function bytes_of(key, value)
  return 135 + #key + #value
end

-- Ends the script with an error. To be called before its first write.
local function refuse(what)
  error({ err = 'ERR ' .. what })
end

-- Returns the number that an argument is.
local function number(arg, name, least, most)
  local value = tonumber(arg)
  if not value or not (value >= least and value <= most) then
    refuse(name .. ' is ' .. tostring(arg) .. ', which is not from ' .. digits(least) .. ' to ' .. digits(most))
  end
  return value
end

-- Returns what a counter says, and refuses what INCR would refuse.
local function count(key)
  local value = redis.call('GET', key) or '0'
  if not string.match(value, '^-?%d+$') then
    refuse('the counter ' .. key .. ' is not a number')
  end
  return tonumber(value)
end

-- Returns how many bytes are remembered, and refuses what HINCRBY and ZADD would
-- refuse.
local function total_of(remembered, minutes)
  redis.call('ZCARD', minutes)
  local total = redis.call('HGET', remembered, 'total') or '0'
  if not string.match(total, '^-?%d+$') then
    refuse('the total of ' .. remembered .. ' is not a number')
  end
  return tonumber(total)
end

-- Returns for how many ms something is remembered: from half of the memory on the
-- time shrinks, down to a minute when all of it is used up. `most` 0: never.
local function shortened(known_for, total, most)
  if most == 0 then
    return known_for
  end
  local left = math.max(0, 1 - total / most)
  return math.min(known_for, math.max(60000, math.floor(known_for * 2 * left)))
end
