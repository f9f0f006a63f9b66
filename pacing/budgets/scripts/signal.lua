-- Count one event of an ad that is shown, once for its bid.
-- KEYS notices of the bid's bucket, delivery of its day
-- ARGV notice key, number of the event (a power of two), field to count in, how long to remember (s), how long counts are
-- kept (s)
-- Returns 1, or 0 for an event that was counted before.
local field, seen = 's' .. ARGV[1], 0
local known = redis.call('HGET', KEYS[1], field)
if known then seen = tonumber(known) end
if bit.band(seen, ARGV[2]) ~= 0 then return 0 end
redis.call('HSET', KEYS[1], field, bit.bor(seen, ARGV[2]))
if redis.call('TTL', KEYS[1]) < 0 then redis.call('EXPIRE', KEYS[1], ARGV[4]) end
redis.call('HINCRBY', KEYS[2], ARGV[3], '1')
redis.call('EXPIRE', KEYS[2], ARGV[5])
return 1
