-- Count an order once.
-- KEYS order, delivery of the touch's day
-- ARGV how long orders are remembered (s), how long counts are kept (s), then (field, amount) each
-- Returns 1, or 0 for an order that was counted before.
if not redis.call('SET', KEYS[1], '1', 'NX', 'EX', ARGV[2]) then return 0 end
for at = 4, #ARGV, 2 do
  redis.call('HINCRBY', KEYS[2], ARGV[at], ARGV[at + 1])
end
redis.call('EXPIRE', KEYS[2], ARGV[3])
return 1
