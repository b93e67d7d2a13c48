-- hits: adds the events that rules decided since an alerter's last report.
--
-- KEYS[1]  when each rule decided last (hash: rule -> seconds since 1970)
-- ARGV[1]  prefix of the hashes of hours (rule -> events); the first second of the hour is appended
-- ARGV[2]  JSON: [[rule, events], ...]
-- ARGV[3]  seconds an hour is kept after its last write
-- ARGV[4]  how many rules a hash may have: beyond that KEYS[1] is cleared, and an hour takes no further rules
--
-- Promise: bounded, whatever the rules are called.

local now = redis.call('TIME')[1]
local hour = ARGV[1] .. string.format('%.0f', math.floor(now / 3600) * 3600)
local limit = tonumber(ARGV[4])
if redis.call('HLEN', KEYS[1]) > limit then
  redis.call('DEL', KEYS[1])
end
for _, hit in ipairs(cjson.decode(ARGV[2])) do
  if redis.call('HLEN', hour) < limit or redis.call('HEXISTS', hour, hit[1]) == 1 then
    redis.call('HINCRBY', hour, hit[1], hit[2])
  end
  redis.call('HSET', KEYS[1], hit[1], now)
end
redis.call('EXPIRE', hour, ARGV[3])
return 1
