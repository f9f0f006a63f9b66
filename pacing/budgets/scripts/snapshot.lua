-- Levels, leases, the ledger rows that the store does not have yet, and the first day whose levels are kept, at one moment.
-- KEYS levels, leases, ledger, meta
-- ARGV now, the last ledger id that the store has ('' for none)
local after = '-'
if ARGV[2] ~= '' then after = '(' .. ARGV[2] end
return {
  redis.call('HGETALL', KEYS[1]), redis.call('HGETALL', KEYS[2]), redis.call('XRANGE', KEYS[3], after, '+'),
  redis.call('HGET', KEYS[4], 'keep') or '0'
}
