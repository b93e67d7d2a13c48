-- drained: a batch of the audit backlog is in PostgreSQL, and is dropped.
--
-- KEYS[1]  processing list of the backlog element
-- KEYS[2]  rows in the audit backlog (number)
-- KEYS[3]  dead letters (list)
-- KEYS[4]  running totals (hash)
-- ARGV[1]  how many rows the element had
-- ARGV[2]  how many dead letters are kept
-- ARGV[3..] dead letters for rows that PostgreSQL refused
--
-- Returns 1, or 0 if the element is no longer ours: then nothing was changed.
-- Promise: the number of rows is that of the elements waiting or reserved.

if redis.call('DEL', KEYS[1]) == 0 then
  return 0
end
if redis.call('DECRBY', KEYS[2], ARGV[1]) <= 0 then
  redis.call('DEL', KEYS[2])
end
local refused = math.min(#ARGV - 2, tonumber(ARGV[1])) -- an element that is not a batch has no rows
redis.call('HINCRBY', KEYS[4], 'audited', ARGV[1] - refused)
redis.call('HINCRBY', KEYS[4], 'refused', refused)
for place = 3, #ARGV do
  redis.call('LPUSH', KEYS[3], ARGV[place])
end
redis.call('LTRIM', KEYS[3], 0, ARGV[2] - 1)
return 1
