-- reserve: move up to N of the oldest elements of a list into one processing list.
--
-- KEYS[1]  source list (head newest, tail oldest: producers LPUSH)
-- KEYS[2]  processing list of this batch; may hold its first element already (BRPOPLPUSH)
-- ARGV[1]  how many elements the batch may have in all, 1..5000
--
-- Returns the batch, oldest first; empty where there was nothing (no key is left behind).
-- Promise: an element is in the source or in the processing list at every instant, never in both, never in neither.

local room = tonumber(ARGV[1]) - redis.call('LLEN', KEYS[2])
if room > 0 then
  local found = redis.call('LRANGE', KEYS[1], -room, -1)
  local count = #found
  if count > 0 then
    redis.call('LTRIM', KEYS[1], 0, -count - 1)
    local ordered = {}
    for i = count, 1, -1 do
      ordered[#ordered + 1] = found[i]
      if #ordered == 4000 or i == 1 then -- unpack is limited by Lua's C stack
        redis.call('RPUSH', KEYS[2], unpack(ordered))
        ordered = {}
      end
    end
  end
end
return redis.call('LRANGE', KEYS[2], 0, -1)
