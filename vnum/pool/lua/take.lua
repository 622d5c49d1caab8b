-- Takes up to n free slots of a host and files each as in flight: free again by itself on in_flight_day.
-- KEYS  1 free bitmap, 2 days string, 3 rolled hash (all of one cell)
-- ARGV  1 n, 2 today, 3 in_flight_day (today + 2), 4 host, 5 random bytes, 3 a slot
-- Returns { state, free slots left, packed 16-bit indices }
--   state  0 = as is, 1 = slots may be due (the host was not rolled over to today), -1 = host not loaded
-- A retry after a lost reply takes other slots; the first ones come back on in_flight_day.
-- The bitmap is read once and searched here; what was taken is written back by few BITFIELDs.
local free = redis.call('GET', KEYS[1])
if not free or #free == 0 or redis.call('STRLEN', KEYS[2]) == 0 then return {-1, 0, ''} end
local noise, left = ARGV[5], {}

-- The first byte from `start` on, round the end, that has a free slot; its bits.
local function find(start)
  for pass = 1, 2 do
    local at = string.find(free, '[^%z]', start)
    while at do
      local bits = left[at] or string.byte(free, at)
      if bits > 0 then return at, bits end
      at = string.find(free, '[^%z]', at + 1)
    end
    start = 1
  end
end

local bitmap, days, taken = {}, {}, {}
local function write()
  if #bitmap == 0 then return end
  redis.call('BITFIELD', KEYS[1], unpack(bitmap))
  redis.call('BITFIELD', KEYS[2], unpack(days))
  bitmap, days = {}, {}
end

for i = 0, tonumber(ARGV[1]) - 1 do
  local a, b, c = string.byte(noise, 3 * i + 1, 3 * i + 3)
  local at, bits = find((a * 256 + b) % #free + 1)
  if not at then break end
  local place = c % 8
  while math.floor(bits / 2 ^ (7 - place)) % 2 == 0 do place = (place + 1) % 8 end
  left[at] = bits - 2 ^ (7 - place)
  local slot = 8 * (at - 1) + place
  local n = #bitmap
  bitmap[n + 1], bitmap[n + 2], bitmap[n + 3], bitmap[n + 4] = 'SET', 'u1', slot, 0
  days[n + 1], days[n + 2], days[n + 3], days[n + 4] = 'SET', 'u16', 16 * slot, ARGV[3]
  taken[#taken + 1] = struct.pack('>I2', slot)
  if #bitmap == 4000 then write() end -- unpack() takes no more than some 8000 values
end
write()
local rolled = tonumber(redis.call('HGET', KEYS[3], ARGV[4]) or '0')
local state = 0
if rolled < tonumber(ARGV[2]) then state = 1 end
return {state, redis.call('BITCOUNT', KEYS[1]), table.concat(taken)}
