-- Takes tokens out of a bucket that fills by itself: up to the number wanted, so that a worker may spend them without
-- asking again.
-- KEYS  1 the bucket, a hash: tokens (thousandths), at (milliseconds)
-- ARGV  1 now (milliseconds), 2 tokens a second, 3 the most it holds, 4 how many are wanted
-- Returns the number taken, and the milliseconds until there will be one more (0 if one was taken). A retry takes more.
-- Workers' clocks differ: the bucket goes by the latest it was told, so that a slow clock fills nothing twice. One that
-- ran ahead by more than the bucket takes to fill (10 seconds at the least) was wrong, and is not waited for.
local now, rate, most = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]) * 1000
local kept = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens, at = tonumber(kept[1]) or most, tonumber(kept[2]) or now
local full = math.ceil(most / rate)
if at > now + math.max(full, 10000) then at = now end
if now > at then
  tokens = tokens + (now - at) * rate
  at = now
end
tokens = math.min(tokens, most)
local taken = math.min(tonumber(ARGV[4]), math.floor(tokens / 1000))
tokens = tokens - taken * 1000
redis.call('HSET', KEYS[1], 'tokens', string.format('%.0f', tokens), 'at', string.format('%.0f', at))
redis.call('PEXPIRE', KEYS[1], full + 60000)
if taken > 0 then return {taken, 0} end
return {0, math.max(1, math.ceil((1000 - tokens) / rate) + at - now)}
