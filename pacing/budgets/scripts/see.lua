-- Note when an ad was first shown, and count that it was where showing it bills nothing.
-- KEYS notices of the bid's bucket, delivery of its day
-- ARGV notice key, now (unix ms), how long to remember (s), field to count in or '', how long counts are kept (s)
-- Returns 1.
redis.call('HSETNX', KEYS[1], 'i' .. ARGV[1], ARGV[2])
if redis.call('TTL', KEYS[1]) < 0 then redis.call('EXPIRE', KEYS[1], ARGV[3]) end
if ARGV[4] ~= '' then
  redis.call('HINCRBY', KEYS[2], ARGV[4], '1')
  redis.call('EXPIRE', KEYS[2], ARGV[5])
end
return 1
