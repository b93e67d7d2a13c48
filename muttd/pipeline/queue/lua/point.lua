-- point: takes a snapshot of the books, and keeps it for the minute, hour and day.
--
-- KEYS[1]  running totals (hash)
-- KEYS[2]  what receiving processes hold in memory: hash, process -> COUNT:MS
-- KEYS[3]  ingest list
-- KEYS[4]  audit rows in the backlog (number)
-- KEYS[5..7]  alert list, staging list, counter of the alerts in lanes
-- KEYS[8]  retry set
-- KEYS[9]  dead letters
-- KEYS[10] audit backlog (list); if neither it nor a worker has an element, there are no rows either
-- KEYS[11..]  where to keep the point, unless one is kept there already
-- ARGV[1]  ms without a report after which a process counts as holding nothing
-- ARGV[2..]  seconds to keep it there; 0: for ever
--
-- Returns the point, JSON: {at, totals, stock}.
-- Promise: totals and stock are of the same instant. Reserved batches are looked for key by key, 200,000 keys at most:
-- a few ms of Redis's time, once a minute.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local totals = {}
local flat = redis.call('HGETALL', KEYS[1])
for at = 1, #flat, 2 do
  totals[flat[at]] = tonumber(flat[at + 1])
end

local memory = 0
flat = redis.call('HGETALL', KEYS[2])
for at = 1, #flat, 2 do
  local count, said = string.match(flat[at + 1], '^(%-?%d+):(%d+)$')
  if count and now - tonumber(said) < tonumber(ARGV[1]) then
    memory = memory + tonumber(count)
  else
    redis.call('HDEL', KEYS[2], flat[at])
  end
end

local reserved, backlog, cursor = 0, redis.call('LLEN', KEYS[10]), '0'
for _ = 1, 200 do
  local found = redis.call('SCAN', cursor, 'MATCH', 'mutt:processing:a*', 'COUNT', 1000)
  cursor = found[1]
  for _, key in ipairs(found[2]) do
    if string.find(key, '^mutt:processing:alerter:') then
      reserved = reserved + redis.call('LLEN', key)
    elseif string.find(key, '^mutt:processing:audit:') then
      backlog = backlog + 1
    end
  end
  if cursor == '0' then break end
end

local point = cjson.encode({
  at = now / 1000,
  totals = totals,
  stock = {
    memory = memory,
    ingest = redis.call('LLEN', KEYS[3]),
    reserved = reserved,
    backlog = backlog > 0 and tonumber(redis.call('GET', KEYS[4]) or 0) or 0,
    alerts = redis.call('LLEN', KEYS[5]) + redis.call('LLEN', KEYS[6]) + tonumber(redis.call('GET', KEYS[7]) or 0),
    retry = redis.call('ZCARD', KEYS[8]),
    dead = redis.call('LLEN', KEYS[9]),
  },
})
for place = 11, #KEYS do
  local seconds = tonumber(ARGV[place - 9])
  if seconds > 0 then
    redis.call('SET', KEYS[place], point, 'NX', 'EX', seconds)
  else
    redis.call('SET', KEYS[place], point, 'NX')
  end
end
return point
