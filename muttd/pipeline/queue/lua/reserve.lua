-- reserve: move up to N of the oldest elements of a list into one processing list.
--
-- KEYS[1]  source list (head newest, tail oldest: producers LPUSH)
-- KEYS[2]  processing list of this batch; may hold its first element already (BRPOPLPUSH)
-- ARGV[1]  how many elements the batch may have in all, 1..5000
--
-- Returns the batch, oldest first; empty if there was nothing (no key is left behind).
-- Promise: at every instant an element is in either the source or the processing list, never in both or neither.

local batch = redis.call('LRANGE', KEYS[2], 0, -1)
local room = tonumber(ARGV[1]) - #batch
if room > 0 then
  local found = redis.call('LRANGE', KEYS[1], -room, -1)
  if #found > 0 then
    redis.call('LTRIM', KEYS[1], 0, -#found - 1)
    local first = #batch + 1
    for i = #found, 1, -1 do
      batch[#batch + 1] = found[i]
    end
    for at = first, #batch, 4000 do -- unpack is limited by Lua's C stack
      redis.call('RPUSH', KEYS[2], unpack(batch, at, math.min(at + 3999, #batch)))
    end
  end
end
return batch
