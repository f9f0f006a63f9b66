-- Count the click on a bid once, however often the link is followed.
-- KEYS notices of the bid's bucket, delivery of its day, journal
-- ARGV notice key, field to count in, how long to remember (s), how long counts are kept (s), row for the journal or ''
-- Returns 1, or 0 for a click that was counted before.
if redis.call('HSETNX', KEYS[1], 'c' .. ARGV[1], '1') == 0 then return 0 end
if redis.call('TTL', KEYS[1]) < 0 then redis.call('EXPIRE', KEYS[1], ARGV[3]) end
redis.call('HINCRBY', KEYS[2], ARGV[2], '1')
redis.call('EXPIRE', KEYS[2], ARGV[4])
if ARGV[5] ~= '' then redis.call('XADD', KEYS[3], '*', 'row', ARGV[5]) end
return 1
