-- settle: records the outcome of leased alerts and moves each to where it goes next, in one step.
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
-- KEYS[10] running totals (hash)
-- ARGV[1]  prefix of the lanes' keys
-- ARGV[2]  how many facts one half keeps
-- ARGV[3]  how many seconds an unchanged half is kept
-- ARGV[4]  how many dead letters are kept
-- ARGV[5]  prefix of the dashboard's counters (hashes as in commit.lua); the field is delivery:ACTION
-- ARGV[6]  their resolutions, JSON: [[name, seconds that one hash stands for, seconds it is kept], ...]
-- ARGV[7..] for each alert eight:
--          signature
--          end of its lease, as returned by lease.lua
--          delivered | refused (dead letter; Moog works) | dead (dead letter) | retry | release (as if never leased)
--          retry: tries as JSON, '' to leave them; refused, dead: the dead letter
--          retry: µs until it is due
--          event id
--          fact as JSON, '' for none
--          1 if the try was the probe of a half-open circuit, else 0
--
-- Returns for each alert -1 if its lease had expired and somebody else has it: then nothing was changed for it. Else
-- how many dead letters were dropped because the list was full.
-- Promise: an alert leaves its lane only here, delivered or with its dead letter written; the next of the lane becomes
-- ready in the same step. A Moog that works closes the circuit, unless a pause has begun since the try did.

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local facts_limit, dead_letters_limit = tonumber(ARGV[2]), tonumber(ARGV[4])
local counts, gone = {}, 0
local books = {retry = 'retried', delivered = 'delivered', refused = 'dead:refused', dead = 'dead:retries used up'}

local function settle(signature, lease, action, note, delay, event, fact, probe)
  if tonumber(redis.call('ZSCORE', KEYS[1], signature) or 0) ~= tonumber(lease) then
    return -1
  end
  redis.call('ZREM', KEYS[1], signature)
  local lane = ARGV[1] .. signature
  local lost = 0

  if action == 'release' then
    redis.call('LPUSH', KEYS[3], signature)
    if probe then
      redis.call('HDEL', KEYS[7], 'probing')
      redis.call('HSET', KEYS[7], 'until', '1') -- long over: the next may probe
    end
    return 0
  elseif action == 'retry' then
    redis.call('ZADD', KEYS[2], string.format('%.0f', now + tonumber(delay)), signature)
    if note ~= '' then
      redis.call('HSET', KEYS[4], signature, note)
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
      lost = math.max(0, redis.call('LPUSH', KEYS[6], note) - dead_letters_limit)
      redis.call('LTRIM', KEYS[6], 0, dead_letters_limit - 1)
      gone = gone + lost
    end
    if action ~= 'dead' and (probe or not redis.call('HGET', KEYS[7], 'until')) then
      redis.call('DEL', KEYS[7])
    end
  end

  counts[action] = (counts[action] or 0) + 1
  if fact ~= '' then
    if redis.call('HLEN', KEYS[8]) >= facts_limit then
      redis.call('RENAME', KEYS[8], KEYS[9])
    end
    redis.call('HSET', KEYS[8], event, fact)
  end
  return lost
end

local results = {}
for at = 7, #ARGV, 8 do
  local signature, lease, action, note, delay, event, fact, probe = unpack(ARGV, at, at + 7)
  results[#results + 1] = settle(signature, lease, action, note, delay, event, fact, probe == '1')
end
redis.call('EXPIRE', KEYS[8], ARGV[3])
if gone > 0 then
  redis.call('HINCRBY', KEYS[10], 'gone', gone)
end
for action, count in pairs(counts) do
  redis.call('HINCRBY', KEYS[10], books[action], count)
  for _, resolution in ipairs(cjson.decode(ARGV[6])) do
    local name, length, ttl = unpack(resolution)
    local key = ARGV[5] .. ':' .. name .. ':' .. string.format('%.0f', math.floor(tonumber(time[1]) / length) * length)
    redis.call('HINCRBY', key, 'delivery:' .. action, count)
    redis.call('EXPIRE', key, ttl)
  end
end
return results
