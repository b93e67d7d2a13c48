-- beat: a worker says that it lives.
--
-- KEYS[1]  its heartbeat
-- ARGV[1]  status, for people
-- ARGV[2]  ms for which it holds
--
-- Promise: it is heard by a Redis without memory too. Else its worker would lose its batches, and could not even start.

redis.call('PERSIST', KEYS[1]) -- after a first write for want of memory no other is refused
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
