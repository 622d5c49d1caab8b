-- Gives slots back that PostgreSQL said were definitely not bound.
-- KEYS  1 free bitmap, 2 days string
-- ARGV  1 the in_flight_day they were taken under, 2 packed 16-bit indices
-- Returns the number given back: only those still in flight under that day (a late call changes nothing
-- that moved on). A retry gives back nothing more.
if redis.call('STRLEN', KEYS[1]) == 0 then return 0 end
local day = struct.pack('>I2', tonumber(ARGV[1]))
local given = 0
for at = 1, #ARGV[2], 2 do
  local slot = struct.unpack('>I2', ARGV[2], at)
  if redis.call('GETRANGE', KEYS[2], 2 * slot, 2 * slot + 1) == day then
    redis.call('SETRANGE', KEYS[2], 2 * slot, '\0\0')
    redis.call('SETBIT', KEYS[1], slot, 1)
    given = given + 1
  end
end
return given
