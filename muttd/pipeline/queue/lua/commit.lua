-- commit: what a decided batch led to takes effect and the batch is dropped, in one step.
--
-- KEYS[1]       processing list of the batch
-- KEYS[2..4]    lists: alerts, dead letters, audit backlog
-- KEYS[5]       rows in the audit backlog (number)
-- KEYS[6..8]    dashboard counters (hashes): this minute, this hour, this day
-- KEYS[9]       unhandled: template id → end of its window, ms (sorted set)
-- KEYS[10]      unhandled: template id → count in its window (hash)
-- KEYS[11]      unhandled: template id → last seen, ms (sorted set)
-- KEYS[12]      unhandled: template id → count since it is on the work list (hash)
-- KEYS[13]      unhandled: template id → what it is (hash)
-- KEYS[14]      unhandled: template ids that reached the threshold and have not been announced (set)
-- ARGV[1]       JSON: {alerts, dead, backlog: how many elements; rows: how many rows the backlog element has;
--               dead_limit; counters: {field: increment}; ttl: [seconds of each counter hash];
--               unhandled: [[template id, count], …]; threshold (0: never); window, keep: ms; limit: how many windows;
--               overflow: template id that stands for all beyond the limit}
-- ARGV[2..]     alerts, dead letters, backlog elements, each oldest first; then what each unhandled template is,
--               then what `overflow` is
--
-- Returns {done, length of the alert list, rows in the backlog, dead letters that had to go, templates to announce};
-- done is 0 where the batch is not ours any more: then nothing was changed.
-- Promise: what a batch led to takes effect exactly once. The batch is dropped last, so that a refusal (out of memory)
-- at the first write leaves everything as it was. A template reaches the set of KEYS[14] once in a window. The windows
-- and the work list are bounded: by `limit` and twice `limit`.

if redis.call('EXISTS', KEYS[1]) == 0 then
  return {0, 0, 0, 0, 0}
end
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

if #wish.unhandled > 0 then
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  while true do
    local over = redis.call('ZRANGEBYSCORE', KEYS[9], '-inf', now, 'LIMIT', 0, 1000)
    if #over == 0 then break end
    redis.call('ZREM', KEYS[9], unpack(over))
    redis.call('HDEL', KEYS[10], unpack(over))
  end
  local windows = redis.call('ZCARD', KEYS[9])
  for place, found in ipairs(wish.unhandled) do
    local id, count, about = found[1], found[2], ARGV[at + place - 1]
    if windows >= wish.limit and not redis.call('ZSCORE', KEYS[9], id) then
      id, about = wish.overflow, ARGV[at + #wish.unhandled]
    end
    windows = windows + redis.call('ZADD', KEYS[9], 'NX', now + wish.window, id)
    local counted = redis.call('HINCRBY', KEYS[10], id, count)
    if wish.threshold > 0 and counted >= wish.threshold and counted - count < wish.threshold then
      redis.call('SADD', KEYS[14], id)
    end
    redis.call('ZADD', KEYS[11], now, id)
    redis.call('HINCRBY', KEYS[12], id, count)
    redis.call('HSETNX', KEYS[13], id, about)
  end
  local old = redis.call('ZRANGEBYSCORE', KEYS[11], '-inf', now - wish.keep, 'LIMIT', 0, 1000)
  local surplus = redis.call('ZCARD', KEYS[11]) - 2 * wish.limit
  if #old == 0 and surplus > 0 then
    old = redis.call('ZRANGE', KEYS[11], 0, math.min(surplus, 4000) - 1)
  end
  if #old > 0 then
    redis.call('ZREM', KEYS[11], unpack(old))
    redis.call('HDEL', KEYS[12], unpack(old))
    redis.call('HDEL', KEYS[13], unpack(old))
  end
end

redis.call('DEL', KEYS[1])
return {1, redis.call('LLEN', KEYS[2]), tonumber(redis.call('GET', KEYS[5]) or 0), gone, redis.call('SCARD', KEYS[14])}
