-- edit_dead_letter: replaces one dead letter by another, in the same place.
--
-- KEYS[1]  dead letters (head newest)
-- ARGV[1]  place of the dead letter, counted from the oldest: -1, -2, ...
-- ARGV[2]  the dead letter as it was seen
-- ARGV[3]  the dead letter as it is to be
--
-- Returns 1; 0 if the list has changed and something else is at that place: then nothing was changed.

if redis.call('LINDEX', KEYS[1], ARGV[1]) ~= ARGV[2] then
  return 0
end
redis.call('LSET', KEYS[1], ARGV[1], ARGV[3])
return 1
