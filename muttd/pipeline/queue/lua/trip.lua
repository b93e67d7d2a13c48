-- trip: a try failed; decides whether everybody pauses.
--
-- KEYS[1]  circuit: hash with failures (in a row), openings (in a row), until (µs; 0 while closed), reason, since (s),
--          probing; absent while all is well
-- ARGV[1]  open (open it now) | fail (count it)
-- ARGV[2]  reason
-- ARGV[3]  failures in a row that open it
-- ARGV[4]  first pause, µs; doubles with each opening in a row
-- ARGV[5]  longest pause, µs
-- ARGV[6]  pause asked for by the peer, µs, or 0
-- ARGV[7]  1 if the failed try was the probe of a half-open circuit
--
-- Returns 1 if this call opened the circuit or prolonged its pause, else 0.
-- Promise: stragglers after a pause has begun do not prolong it, except by what the peer asks for. It works even if
-- Redis is out of memory.

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local function text(number) return string.format('%.0f', number) end
local key, asked = KEYS[1], tonumber(ARGV[6])
redis.call('PERSIST', key) -- changes nothing, but once one write has succeeded, lack of memory refuses no other
local until_now = tonumber(redis.call('HGET', key, 'until') or 0)

local pause = asked
if ARGV[7] == '1' or until_now == 0 then
  local failures = redis.call('HINCRBY', key, 'failures', 1)
  if ARGV[7] == '1' or ARGV[1] == 'open' or failures >= tonumber(ARGV[3]) then
    local openings = redis.call('HINCRBY', key, 'openings', 1)
    pause = math.max(asked, math.min(tonumber(ARGV[5]), tonumber(ARGV[4]) * 2 ^ math.min(openings - 1, 40)))
  end
end
if pause == 0 or (ARGV[7] ~= '1' and now + pause <= until_now) then
  return 0
end
if until_now == 0 then
  redis.call('HSET', key, 'since', time[1])
end
redis.call('HSET', key, 'until', text(now + pause), 'reason', ARGV[2])
redis.call('HDEL', key, 'probing')
return 1
