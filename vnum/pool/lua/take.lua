-- Takes up to n free slots of a host and files each as in flight: free again by itself on in_flight_day.
-- KEYS  1 free bitmap, 2 days string, 3 rolled hash (all of one cell)
-- ARGV  1 n, 2 today, 3 in_flight_day (today + 2), 4 host, 5 random bytes, 3 a slot
-- Returns { state, free slots left, packed 16-bit indices }
--   state  0 = as is, 1 = slots may be due (the host was not rolled over to today), -1 = host not loaded
-- A retry after a lost reply takes other slots; the first ones come back on in_flight_day.
local bytes = redis.call('STRLEN', KEYS[1])
if bytes == 0 or redis.call('STRLEN', KEYS[2]) == 0 then return {-1, 0, ''} end
local day = struct.pack('>I2', tonumber(ARGV[3]))
local noise, taken = ARGV[5], {}
for i = 0, tonumber(ARGV[1]) - 1 do
  local a, b, c = string.byte(noise, 3 * i + 1, 3 * i + 3)
  local start = (a * 65536 + b * 256 + c) % bytes
  local slot = redis.call('BITPOS', KEYS[1], 1, start)
  if slot == -1 then slot = redis.call('BITPOS', KEYS[1], 1) end
  if slot == -1 then break end
  redis.call('SETBIT', KEYS[1], slot, 0)
  redis.call('SETRANGE', KEYS[2], 2 * slot, day)
  taken[#taken + 1] = struct.pack('>I2', slot)
end
local rolled = tonumber(redis.call('HGET', KEYS[3], ARGV[4]) or '0')
local state = 0
if rolled < tonumber(ARGV[2]) then state = 1 end
return {state, redis.call('BITCOUNT', KEYS[1]), table.concat(taken)}
