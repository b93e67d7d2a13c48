-- beat: a worker reports that it is alive.
--
-- KEYS[1]  its heartbeat
-- ARGV[1]  status, for people
-- ARGV[2]  ms for which it is valid
--
-- Promise: it works even if Redis is out of memory. Else its worker would lose its batches, and could not even start.

redis.call('PERSIST', KEYS[1]) -- once one write has succeeded, lack of memory refuses no other
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
