-- stage: moves the oldest alerts to where forwarders sort them into lanes, and returns them.
--
-- KEYS[1]  alert list (head newest, tail oldest)
-- KEYS[2]  staging list, the same way round; all of it is older than the alert list
-- KEYS[3]  ready list
-- KEYS[4]  counter of the alerts in lanes
-- ARGV[1]  how many to return, 1..1000
-- ARGV[2]  at this length of the ready list nothing more is sorted: it waits on the alert list, where people look
-- ARGV[3]  at this number of alerts in lanes nothing more is sorted
--
-- Returns the oldest staged alerts, oldest first; nil if there is no room for them.
-- Promise: the order of alert list and staging list together is never changed.

if redis.call('LLEN', KEYS[3]) >= tonumber(ARGV[2]) or tonumber(redis.call('GET', KEYS[4]) or 0) >= tonumber(ARGV[3]) then
  return false
end
local limit = tonumber(ARGV[1])
local room = limit - redis.call('LLEN', KEYS[2])
if room > 0 then
  local found = redis.call('LRANGE', KEYS[1], -room, -1)
  if #found > 0 then
    redis.call('LTRIM', KEYS[1], 0, -#found - 1)
    for i = #found, 1, -1 do
      redis.call('LPUSH', KEYS[2], found[i])
    end
  end
end
local staged = redis.call('LRANGE', KEYS[2], -limit, -1)
local oldest_first = {}
for i = #staged, 1, -1 do
  oldest_first[#oldest_first + 1] = staged[i]
end
return oldest_first
