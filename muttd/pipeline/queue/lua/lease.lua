-- lease: the right to try the first alerts of some lanes, as far as circuit and rate limit allow.
--
-- KEYS[1]  delivering: sorted set of leased signatures by end of lease, µs
-- KEYS[2]  retry set: sorted set of signatures by due time, µs
-- KEYS[3]  ready list
-- KEYS[4]  tries: hash, signature -> JSON of the tries so far
-- KEYS[5]  rate limit: list of "µs:before:after", oldest first: when tokens were taken, and how many in all since the
--          list began, before and after; each token comes back one period later
-- KEYS[6]  circuit: hash; absent while closed (trip.lua)
-- ARGV[1]  prefix of the lanes' keys
-- ARGV[2]  how many are wanted
-- ARGV[3]  length of a lease, µs
-- ARGV[4]  rate limit: tokens
-- ARGV[5]  rate limit: period, µs
--
-- Returns {end of lease, µs until it is worth asking again or -1, why less than wanted: '' rate open probe,
--          signature, alert, tries, signature, alert, tries, ...}; while the circuit is not closed it is open or probe
-- Promise: in any period no more leases than tokens, by Redis's clock, for all forwarders together; a token is taken
-- only for an alert. While the circuit is half open there is one lease in all, until it is settled or has expired. An
-- expired lease is given to whoever asks: its forwarder died.

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local function text(number) return string.format('%.0f', number) end

local want = tonumber(ARGV[2])
local lease = now + tonumber(ARGV[3])
local why = ''
local closed_until = tonumber(redis.call('HGET', KEYS[6], 'until') or 0)
if closed_until > now then
  return {text(lease), text(closed_until - now), 'open'}
elseif closed_until > 0 then
  why = 'probe'
  want = 1
end

local limit, period = tonumber(ARGV[4]), tonumber(ARGV[5])
local function entry(place)
  local at, before, after = string.match(redis.call('LINDEX', KEYS[5], place) or '', '^(%d+):(%d+):(%d+)$')
  return tonumber(at), tonumber(before), tonumber(after)
end
local oldest, first = entry(0)
-- Beyond `now`: after a fail-over to a clock that is behind.
while oldest and (oldest <= now - period or oldest > now + period) do
  redis.call('LPOP', KEYS[5])
  oldest, first = entry(0)
end
local newest, newest_before, last = entry(-1)
local taken = oldest and last - first or 0
local free = limit - taken
if free <= 0 then
  return {text(lease), text(oldest + period - now), why == 'probe' and 'probe' or 'rate'}
end
if free < want then
  why, want = 'rate', free
end

local found = {}
for _, key in ipairs({KEYS[1], KEYS[2]}) do
  if #found < want then
    for _, signature in ipairs(redis.call('ZRANGEBYSCORE', key, '-inf', text(now), 'LIMIT', 0, want - #found)) do
      redis.call('ZREM', key, signature)
      found[#found + 1] = signature
    end
  end
end
while #found < want do
  local signature = redis.call('LPOP', KEYS[3])
  if not signature then break end
  found[#found + 1] = signature
end

local wait = -1
if #found < want then
  why = why == 'probe' and 'probe' or ''
  for _, key in ipairs({KEYS[1], KEYS[2]}) do
    local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
    if first[2] and (wait < 0 or tonumber(first[2]) - now < wait) then
      wait = tonumber(first[2]) - now
    end
  end
elseif why == 'rate' then
  wait = (oldest or now) + period - now
end

local answer = {text(lease), text(wait), why}
for _, signature in ipairs(found) do
  local alert = redis.call('LINDEX', ARGV[1] .. signature, 0)
  if alert then -- otherwise somebody deleted the lane by hand
    redis.call('ZADD', KEYS[1], text(lease), signature)
    answer[#answer + 1] = signature
    answer[#answer + 1] = alert
    answer[#answer + 1] = redis.call('HGET', KEYS[4], signature) or ''
  end
end
local leased = (#answer - 3) / 3
if leased > 0 then
  local before = last or 0
  local after = before + leased
  -- Tokens taken within the same hundredth of a period come back together, with the last: at most 101 entries.
  if newest and math.floor(newest * 100 / period) == math.floor(now * 100 / period) then
    redis.call('RPOP', KEYS[5])
    before = newest_before
  end
  redis.call('RPUSH', KEYS[5], text(now) .. ':' .. text(before) .. ':' .. text(after))
  redis.call('PEXPIRE', KEYS[5], text(math.ceil(period / 1000)))
  if why == 'probe' then
    redis.call('HSET', KEYS[6], 'until', text(lease), 'probing', '1')
  end
end
return answer
