-- Count an order once.
-- KEYS order, delivery of the touch's day, journal
-- ARGV how long orders are remembered (s), how long counts are kept (s), row for the journal or '', then (field, amount)
-- each
-- Returns 1, or 0 for an order that was counted before.
if not redis.call('SET', KEYS[1], '1', 'NX', 'EX', ARGV[2]) then return 0 end
for at = 5, #ARGV, 2 do
  redis.call('HINCRBY', KEYS[2], ARGV[at], ARGV[at + 1])
end
redis.call('EXPIRE', KEYS[2], ARGV[3])
if ARGV[4] ~= '' then redis.call('XADD', KEYS[3], '*', 'row', ARGV[4]) end
return 1
