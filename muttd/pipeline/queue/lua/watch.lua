-- watch: what people are watching now, so that alerters know what to show them.
--
-- KEYS[1]  watches (sorted set: watch by the time, ms, until which it counts)
-- ARGV[1]  how long those given here count from now on, ms
-- ARGV[2]  how many there may be, at most
-- ARGV[3..] watches that are in use
--
-- Returns all watches that count, those that have just been renewed first. By Redis's clock.
-- Promise: never more than ARGV[2] of them; the key expires when nobody watches.

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
for place = 3, #ARGV do
  redis.call('ZADD', KEYS[1], now + tonumber(ARGV[1]), ARGV[place])
end
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -tonumber(ARGV[2]) - 1)
if #ARGV > 2 then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
return redis.call('ZREVRANGE', KEYS[1], 0, -1)
