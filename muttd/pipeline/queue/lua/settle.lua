-- settle: what came of one leased alert, in one step with where the alert goes next.
--
-- KEYS[1]  delivering (lease.lua)
-- KEYS[2]  retry set
-- KEYS[3]  ready list
-- KEYS[4]  tries: hash, signature -> JSON
-- KEYS[5]  counter of the alerts in lanes
-- KEYS[6]  dead letters (head newest)
-- KEYS[7]  circuit
-- KEYS[8]  delivery facts, newer half: hash, event id -> JSON
-- KEYS[9]  delivery facts, older half
-- ARGV[1]  prefix of the lanes' keys
-- ARGV[2]  signature
-- ARGV[3]  end of its lease, as lease.lua said it
-- ARGV[4]  delivered | refused (dead letter; Moog works) | dead (dead letter) | retry | release (as if never leased)
-- ARGV[5]  retry: tries as JSON, '' to leave them; refused, dead: the dead letter
-- ARGV[6]  retry: µs until it is due
-- ARGV[7]  event id
-- ARGV[8]  fact as JSON, '' for none
-- ARGV[9]  how many facts one half keeps
-- ARGV[10] how many seconds an unchanged half is kept
-- ARGV[11] how many dead letters are kept
-- ARGV[12] prefix of the dashboard's counters (hashes as in commit.lua); the field is delivery:ACTION
-- ARGV[13] 1 where the try was the probe of a half-open circuit, else 0
--
-- Returns -1 where the lease was over and somebody else has the alert: then nothing was changed. Else how many dead
-- letters had to go for want of room.
-- Promise: an alert leaves its lane only here, delivered or with its dead letter written; the next of the lane becomes
-- ready in the same step. A Moog that works closes the circuit, unless a pause has begun since the try did.

local signature, action, probe = ARGV[2], ARGV[4], ARGV[13] == '1'
local time = redis.call('TIME')
if tonumber(redis.call('ZSCORE', KEYS[1], signature) or 0) ~= tonumber(ARGV[3]) then
  return -1
end
redis.call('ZREM', KEYS[1], signature)
local lane = ARGV[1] .. signature
local lost = 0

if action == 'retry' then
  local due = tonumber(time[1]) * 1000000 + tonumber(time[2]) + tonumber(ARGV[6])
  redis.call('ZADD', KEYS[2], string.format('%.0f', due), signature)
  if ARGV[5] ~= '' then
    redis.call('HSET', KEYS[4], signature, ARGV[5])
  end
elseif action == 'release' then
  redis.call('LPUSH', KEYS[3], signature)
  if probe then
    redis.call('HDEL', KEYS[7], 'probing')
    redis.call('HSET', KEYS[7], 'until', '1') -- long over: the next may probe
  end
else
  if redis.call('LPOP', lane) then
    redis.call('DECR', KEYS[5])
  end
  redis.call('HDEL', KEYS[4], signature)
  if redis.call('EXISTS', lane) == 1 then
    redis.call('RPUSH', KEYS[3], signature)
  end
  if action ~= 'delivered' then
    lost = math.max(0, redis.call('LPUSH', KEYS[6], ARGV[5]) - tonumber(ARGV[11]))
    redis.call('LTRIM', KEYS[6], 0, tonumber(ARGV[11]) - 1)
  end
  if action ~= 'dead' and (probe or not redis.call('HGET', KEYS[7], 'until')) then
    redis.call('DEL', KEYS[7])
  end
end

if action ~= 'release' then
  for _, counter in ipairs({{60, '1m', 2 * 3600}, {3600, '1h', 2 * 86400}, {86400, '24h', 8 * 86400}}) do
    local stamp = math.floor(tonumber(time[1]) / counter[1]) * counter[1]
    local key = ARGV[12] .. ':' .. counter[2] .. ':' .. string.format('%.0f', stamp)
    redis.call('HINCRBY', key, 'delivery:' .. action, 1)
    redis.call('EXPIRE', key, counter[3])
  end
end

if ARGV[8] ~= '' then
  if redis.call('HLEN', KEYS[8]) >= tonumber(ARGV[9]) then
    redis.call('RENAME', KEYS[8], KEYS[9])
  end
  redis.call('HSET', KEYS[8], ARGV[7], ARGV[8])
  redis.call('EXPIRE', KEYS[8], ARGV[10])
end
return lost
