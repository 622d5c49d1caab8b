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
  local bits, numbers = {}, {}
  local function write()
    if #bits == 0 then return end
    redis.call('BITFIELD', free, unpack(bits))
    redis.call('BITFIELD', days, unpack(numbers))
    bits, numbers = {}, {}
  end
  for at = 1, #pairs_, 4 do
    local slot, day = struct.unpack('>I2I2', pairs_, at)
    if 2 * slot < size then
      local n = #bits
      bits[n + 1], bits[n + 2], bits[n + 3], bits[n + 4] = 'SET', 'u1', slot, 0
      numbers[n + 1], numbers[n + 2], numbers[n + 3], numbers[n + 4] = 'SET', 'u16', 16 * slot, day
      moved = moved + 1
      if #bits == 4000 then write() end -- unpack() takes no more than some 8000 values
    end
  end
  write()
end
return moved
