-- give_back: an unfinished batch returns to where it came from, ahead of everything that waits.
--
-- KEYS[1]  processing list of the batch, oldest first
-- KEYS[2]  source list (tail oldest)
--
-- Returns how many elements went back; 0 if the batch is no longer ours.
-- Promise: order is as if it had never been reserved.

local items = redis.call('LRANGE', KEYS[1], 0, -1)
local back = {}
for i = #items, 1, -1 do
  back[#back + 1] = items[i]
  if #back == 4000 or i == 1 then -- unpack is limited by Lua's C stack
    redis.call('RPUSH', KEYS[2], unpack(back))
    back = {}
  end
end
redis.call('DEL', KEYS[1])
return #items
