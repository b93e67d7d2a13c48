-- finish: what a batch led to is pushed and the batch is dropped, in one step.
--
-- KEYS[1]     processing list of the batch
-- KEYS[2..]   target lists, one per group of ARGV
-- ARGV        for each target list: how many elements, then the elements
--
-- Returns 1, or 0 where the batch is not ours any more (another worker took it over): then nothing was pushed.
-- Promise: what a batch led to appears exactly once, however often and by whomever this is called.

if redis.call('DEL', KEYS[1]) == 0 then
  return 0
end
local at = 1
for key = 2, #KEYS do
  local count = tonumber(ARGV[at])
  at = at + 1
  while count > 0 do
    local take = math.min(count, 4000) -- unpack is limited by Lua's C stack
    redis.call('LPUSH', KEYS[key], unpack(ARGV, at, at + take - 1))
    at = at + take
    count = count - take
  end
end
return 1
