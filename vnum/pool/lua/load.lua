-- Puts a host into the pool as PostgreSQL has it, in place of whatever Redis said before.
-- KEYS  1 free bitmap, 2 days string, 3 rolled hash
-- ARGV  1 bitmap, 2 days, 3 host, 4 today
-- Returns 1. Slots in flight at this moment look free again: PostgreSQL refuses the second binder.
redis.call('SET', KEYS[1], ARGV[1])
redis.call('SET', KEYS[2], ARGV[2])
redis.call('HSET', KEYS[3], ARGV[3], ARGV[4])
return 1
