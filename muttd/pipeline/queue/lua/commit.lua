-- commit: the results of a decided batch take effect and the batch is dropped, in one step.
--
-- KEYS[1]       processing list of the batch
-- KEYS[2..4]    lists: alerts, dead letters, audit backlog
-- KEYS[5]       rows in the audit backlog (number)
-- KEYS[6..8]    dashboard counters (hashes): this minute, this hour, this day
-- KEYS[9]       unhandled: kind → end of its window, ms; windows that have ended too (sorted set)
-- KEYS[10]      unhandled: kind → count in its window (hash)
-- KEYS[11]      unhandled: kind → count in the windows before (hash)
-- KEYS[12]      unhandled: kind → what it is (hash)
-- KEYS[13]      unhandled: kinds that reached the threshold and have not been announced (set)
-- KEYS[14]      running totals (hash)
-- ARGV[1]       JSON: {alerts, dead, backlog: how many elements; rows: how many rows the backlog element has;
--               dead_limit; counters: {field: increment}; ttl: [seconds of each counter hash]; books: {total: increment};
--               unhandled: [[kind, count], …]; threshold (0: never); window, keep: ms; limit: how many kinds;
--               overflow: the kind that represents all beyond the limit}
-- ARGV[2..]     alerts, dead letters, backlog elements, each oldest first
--
-- Returns {done, length of the alert list, rows in the backlog, dead letters dropped, kinds to announce,
-- [places in `unhandled`, from 0, of kinds that KEYS[12] does not know; -1: `overflow`]}; done is 0 if the batch is no
-- longer ours: then nothing was changed.
-- Promise: a batch's results take effect exactly once, even if Redis is out of memory: a batch takes more memory than
-- its results, so that only deciding makes room there. A kind enters the set of KEYS[13] once in a window. There are
-- never more kinds than `limit` and `overflow`: those whose windows ended first go first.

if redis.call('EXISTS', KEYS[1]) == 0 then
  return {0, 0, 0, 0, 0, {}}
end
redis.call('PERSIST', KEYS[1]) -- changes nothing, but once one write has succeeded, lack of memory refuses no other
local wish = cjson.decode(ARGV[1])
local at = 2

local function push(key, count)
  while count > 0 do
    local take = math.min(count, 4000) -- unpack is limited by Lua's C stack
    redis.call('LPUSH', key, unpack(ARGV, at, at + take - 1))
    at = at + take
    count = count - take
  end
end

push(KEYS[2], wish.alerts)
push(KEYS[3], wish.dead)
push(KEYS[4], wish.backlog)
if wish.rows > 0 then
  redis.call('INCRBY', KEYS[5], wish.rows)
end
local gone = 0
if wish.dead > 0 then
  gone = math.max(redis.call('LLEN', KEYS[3]) - wish.dead_limit, 0)
  redis.call('LTRIM', KEYS[3], 0, wish.dead_limit - 1)
end
for place, ttl in ipairs(wish.ttl) do
  for field, increment in pairs(wish.counters) do
    redis.call('HINCRBY', KEYS[5 + place], field, increment)
  end
  redis.call('EXPIRE', KEYS[5 + place], ttl)
end

for field, increment in pairs(wish.books) do
  redis.call('HINCRBY', KEYS[14], field, increment)
end

local unknown = {}

local function forget(kinds)
  redis.call('ZREM', KEYS[9], unpack(kinds))
  for key = 10, 12 do
    redis.call('HDEL', KEYS[key], unpack(kinds))
  end
end

local count
count = function(kind, increment, now, place)
  local ends = tonumber(redis.call('ZSCORE', KEYS[9], kind) or -1)
  if ends < now then
    if ends < 0 and kind ~= wish.overflow and redis.call('ZCARD', KEYS[9]) >= wish.limit then
      local oldest = redis.call('ZRANGE', KEYS[9], 0, 0, 'WITHSCORES')
      if tonumber(oldest[2]) >= now then
        return count(wish.overflow, increment, now, -1)
      end
      forget({oldest[1]})
    end
    redis.call('ZADD', KEYS[9], now + wish.window, kind)
    redis.call('HINCRBY', KEYS[11], kind, redis.call('HGET', KEYS[10], kind) or 0)
    redis.call('HDEL', KEYS[10], kind)
    if redis.call('HEXISTS', KEYS[12], kind) == 0 then
      unknown[#unknown + 1] = place
    end
  end
  local counted = redis.call('HINCRBY', KEYS[10], kind, increment)
  if wish.threshold > 0 and counted >= wish.threshold and counted - increment < wish.threshold then
    redis.call('SADD', KEYS[13], kind)
  end
end

if #wish.unhandled > 0 then
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  for place, found in ipairs(wish.unhandled) do
    count(found[1], found[2], now, place - 1)
  end
  local old = redis.call('ZRANGEBYSCORE', KEYS[9], '-inf', now - wish.keep, 'LIMIT', 0, 1000)
  if #old > 0 then
    forget(old)
  end
end

redis.call('DEL', KEYS[1])
return {1, redis.call('LLEN', KEYS[2]), tonumber(redis.call('GET', KEYS[5]) or 0), gone, redis.call('SCARD', KEYS[13]), unknown}
