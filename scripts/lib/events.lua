-- For wrk: each request is another batch of 1000 events. They are made before
-- the load begins; one connection sends each of them once.
local BATCHES, EVENTS = 1000, 1000
local made, next_one = {}, 0

function init(args)
  math.randomseed(os.time() + tonumber(tostring({}):match('0x(%x+)'), 16) % 2 ^ 20)
  local run = string.format('%08x', math.random(2 ^ 31 - 1))
  wrk.method = 'POST'
  wrk.headers['content-type'] = 'application/json'
  for batch = 1, BATCHES do
    local events = {}
    for event = 1, EVENTS do
      events[event] = string.format(
        '{"event_id":"%s-%04x-4000-8000-%012x","occurred_at":"2026-01-02T03:04:05Z","user_id":"u%d","event_type":"login","properties":{"n":%d}}',
        run, batch, event, event, event)
    end
    made[batch] = wrk.format(nil, nil, nil, '[' .. table.concat(events, ',') .. ']')
  end
end

function request()
  next_one = next_one % BATCHES + 1
  return made[next_one]
end
