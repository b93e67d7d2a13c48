-- report: adds what a receiving process has counted since it began to the dashboard's counters and the books.
--
-- KEYS[1]     what it has reported so far (hash)
-- KEYS[2..4]  dashboard counters (hashes): this minute, this hour, this day
-- KEYS[5]     running totals (hash)
-- KEYS[6]     what receiving processes hold in memory: hash, process -> COUNT:MS
-- ARGV[1]     JSON: {process; memory: events it holds; counts: {field: how many since it began};
--             disk: {field: events in its spool, minus those it found there}; ttl: [seconds of each counter hash];
--             kept: seconds to remember what was reported}
--
-- Promise: each count is added once, however often the same is reported: after a lost answer, or after a fail-over to a
-- Redis that knows less.

local wish = cjson.decode(ARGV[1])
local time = redis.call('TIME')

local function grown(field, count)
  local more = count - tonumber(redis.call('HGET', KEYS[1], field) or 0)
  if more ~= 0 then
    redis.call('HSET', KEYS[1], field, string.format('%.0f', count))
    redis.call('HINCRBY', KEYS[5], field, string.format('%.0f', more))
  end
  return more
end

for field, count in pairs(wish.counts) do
  local more = grown(field, count)
  if more ~= 0 then
    for place, ttl in ipairs(wish.ttl) do
      redis.call('HINCRBY', KEYS[1 + place], field, string.format('%.0f', more))
      redis.call('EXPIRE', KEYS[1 + place], ttl)
    end
  end
end
for field, count in pairs(wish.disk) do
  grown(field, count)
end
redis.call('EXPIRE', KEYS[1], wish.kept)
if wish.memory == 0 then
  redis.call('HDEL', KEYS[6], wish.process)
else
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  redis.call('HSET', KEYS[6], wish.process, string.format('%.0f:%.0f', wish.memory, now))
end
return 1
