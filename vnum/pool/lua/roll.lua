-- Rolls a host over to today, a slice at a time: slots whose day has come are free again.
-- KEYS  1 free bitmap, 2 days string, 3 rolled hash
-- ARGV  1 today, 2 first slot of the slice, 3 slots in the slice, 4 host
-- Returns the first slot of the next slice, or -1 when the host is done (or not loaded).
-- A retry finds nothing left to do. PostgreSQL judges every slot again when it is bound.
if redis.call('STRLEN', KEYS[1]) == 0 then return -1 end
local first, count = tonumber(ARGV[2]), tonumber(ARGV[3])
local slice = redis.call('GETRANGE', KEYS[2], 2 * first, 2 * (first + count) - 1)
local today = tonumber(ARGV[1])
for at = 1, #slice, 2 do
  local high, low = string.byte(slice, at, at + 1)
  local day = high * 256 + low
  if day > 0 and day <= today then
    local slot = first + (at - 1) / 2
    redis.call('SETBIT', KEYS[1], slot, 1)
    redis.call('SETRANGE', KEYS[2], 2 * slot, '\0\0')
  end
end
if #slice == 2 * count then return first + count end
redis.call('HSET', KEYS[3], ARGV[4], ARGV[1])
return -1
