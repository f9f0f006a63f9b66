-- Count the click on a bid once, however often the link is followed.
-- KEYS notices of the bid's bucket, delivery of its day
-- ARGV notice key, field to count in, how long to remember (s), how long counts are kept (s)
-- Returns 1, or 0 for a click that was counted before.
if redis.call('HSETNX', KEYS[1], 'c' .. ARGV[1], '1') == 0 then return 0 end
if redis.call('TTL', KEYS[1]) < 0 then redis.call('EXPIRE', KEYS[1], ARGV[3]) end
redis.call('HINCRBY', KEYS[2], ARGV[2], '1')
redis.call('EXPIRE', KEYS[2], ARGV[4])
return 1
