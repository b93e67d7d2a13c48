-- announce: the meta-alert of a kind of unhandled events that reached its threshold.
--
-- KEYS[1]  kinds to announce (set)
-- KEYS[2]  alert list
-- KEYS[3]  running totals (hash)
-- ARGV[1]  kind
-- ARGV[2]  the alert
--
-- Returns 1, or 0 if another alerter has announced it.
-- Promise: one alert for each time the kind entered the set.

if redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 0 then
  return 0
end
redis.call('LPUSH', KEYS[2], ARGV[2])
redis.call('HINCRBY', KEYS[3], 'meta_alerts', 1)
redis.call('SREM', KEYS[1], ARGV[1])
return 1
