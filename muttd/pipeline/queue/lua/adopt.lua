-- adopt: take over a batch whose worker is gone. It keeps its id, which identifies what was already done.
--
-- KEYS[1]  processing list as the lost worker named it
-- KEYS[2]  the same batch under the adopter's name
-- KEYS[3]  heartbeat of the lost worker
--
-- Returns the batch, oldest first; empty if its worker is alive after all or somebody else was faster.

if redis.call('EXISTS', KEYS[3]) == 1 or redis.call('EXISTS', KEYS[1]) == 0 then
  return {}
end
redis.call('RENAME', KEYS[1], KEYS[2])
return redis.call('LRANGE', KEYS[2], 0, -1)
