-- Moves slots to the day on which PostgreSQL will let them be bound again (after bind, extend, release,
-- or when a slot offered turned out to be held).
-- KEYS  for each host: free bitmap, days string (all of one cell)
-- ARGV  for each host: packed pairs of 16 bits, slot and day
-- Returns the number moved; hosts that are not loaded (or half lost: an empty bitmap made here would say that
-- nothing is free) are passed over. A retry does the same again.
local moved = 0
for host = 1, #ARGV do
  local free, days, pairs_ = KEYS[2 * host - 1], KEYS[2 * host], ARGV[host]
  local size = 0
  if redis.call('STRLEN', free) > 0 then size = redis.call('STRLEN', days) end
  for at = 1, #pairs_, 4 do
    local slot = struct.unpack('>I2', pairs_, at)
    if 2 * slot < size then
      redis.call('SETBIT', free, slot, 0)
      redis.call('SETRANGE', days, 2 * slot, string.sub(pairs_, at + 2, at + 3))
      moved = moved + 1
    end
  end
end
return moved
