-- sort: staged alerts go to the lanes of their signatures; elements that are not alerts go to the dead letters.
--
-- KEYS[1]  staging list (head newest, tail oldest)
-- KEYS[2]  ready list: signatures whose lane may be worked on, in order
-- KEYS[3]  counter of the alerts in lanes
-- KEYS[4]  dead letters (head newest)
-- KEYS[5]  running totals (hash)
-- ARGV[1]  prefix of the lanes' keys
-- ARGV[2]  SHA-1, hex, of the staged elements that were looked at, oldest first, joined by newlines
-- ARGV[3]  how many dead letters are kept
-- ARGV[4..] for each of them two: its signature and '', or '' and its dead letter
--
-- Returns how many dead letters were dropped because the list was full; -1 if another forwarder had sorted them
-- meanwhile: then nothing was changed.
-- Promise: a lane has the order of the alert list, whichever forwarders sort. A lane that exists is ready, or due in
-- the retry set, or leased: in exactly one of the three.

local count = (#ARGV - 3) / 2
local staged = redis.call('LRANGE', KEYS[1], -count, -1)
local items = {}
for i = #staged, 1, -1 do
  items[#items + 1] = staged[i]
end
if #items ~= count or redis.sha1hex(table.concat(items, '\n')) ~= ARGV[2] then
  return -1
end
local lost = 0
redis.call('LTRIM', KEYS[1], 0, -count - 1)
for i, item in ipairs(items) do
  local signature, letter = ARGV[2 + 2 * i], ARGV[3 + 2 * i]
  if signature == '' then
    lost = lost + math.max(0, redis.call('LPUSH', KEYS[4], letter) - tonumber(ARGV[3]))
    redis.call('LTRIM', KEYS[4], 0, tonumber(ARGV[3]) - 1)
    redis.call('HINCRBY', KEYS[5], 'dead:unreadable', 1)
  else
    if redis.call('RPUSH', ARGV[1] .. signature, item) == 1 then
      redis.call('RPUSH', KEYS[2], signature)
    end
    redis.call('INCR', KEYS[3])
  end
end
if lost > 0 then
  redis.call('HINCRBY', KEYS[5], 'gone', lost)
end
return lost
