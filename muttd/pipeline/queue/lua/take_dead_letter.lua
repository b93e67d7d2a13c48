-- take_dead_letter: removes one dead letter and, for a replay, returns its alert to the alert list, in one step.
--
-- KEYS[1]  dead letters (head newest)
-- KEYS[2]  alert list
-- KEYS[3]  staging list
-- KEYS[4]  ready list
-- KEYS[5]  circuit
-- KEYS[6]  running totals (hash)
-- ARGV[1]  place of the dead letter, counted from the oldest: -1, -2, ...
-- ARGV[2]  the dead letter
-- ARGV[3]  its alert, or '' to drop it
--
-- Returns 1; 0 if the list has changed and something else is at that place; -1 if live alerts are waiting or the
-- circuit is not closed: a replay is for quiet moments. With 0 and -1 nothing was changed.

if redis.call('LINDEX', KEYS[1], ARGV[1]) ~= ARGV[2] then
  return 0
end
if ARGV[3] ~= '' then
  local live = redis.call('LLEN', KEYS[2]) + redis.call('LLEN', KEYS[3]) + redis.call('LLEN', KEYS[4])
  if live > 0 or redis.call('HGET', KEYS[5], 'until') then
    return -1
  end
end
-- By place, not by value: two dead letters may be equal.
redis.call('LSET', KEYS[1], ARGV[1], '')
redis.call('LREM', KEYS[1], -1, '')
redis.call('HINCRBY', KEYS[6], ARGV[3] ~= '' and 'replayed' or 'discarded', 1)
if ARGV[3] ~= '' then
  redis.call('LPUSH', KEYS[2], ARGV[3])
end
return 1
