-- Begin an epoch from the ledger: what was spent is known again, no lease is.
-- KEYS levels, meta, pools, leases, closing, processes, ledger
-- ARGV now, epoch, first lease counter, last ledger id that the store has ('' for none), first day whose levels are kept,
--      then (level, micros, impressions)
-- Budgets follow by the next sync, and until then no pool may lease. Returns 1, or 0 when another worker has announced itself since.
local now = time_ms(ARGV[1])
if redis.call('HGET', KEYS[2], 'rebuilding') ~= ARGV[2] then return 0 end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6])
for at = 6, #ARGV, 3 do
  levels[ARGV[at]] = {-1, tonumber(ARGV[at + 1]), 0, 0, 0, -1, tonumber(ARGV[at + 2]), 0, 0, 0}
  changed[ARGV[at]] = true
end
write_levels()
if ARGV[4] ~= '' then
  -- New rows must get ids above those that the store has seen, even when this server's clock is behind the lost one's.
  -- Refused where the stream's own are above already.
  local ms = tonumber(string.match(ARGV[4], '^(%d+)'))
  local last = redis.call('XREVRANGE', KEYS[7], '+', '-', 'COUNT', '1')
  if #last == 0 or tonumber(string.match(last[1][1], '^(%d+)')) <= ms then
    redis.pcall('XADD', KEYS[7], integer(ms + 1) .. '-0', 'mark', integer(now))
  end
end
redis.call('HSET', KEYS[2], 'epoch', ARGV[2], 'lease', ARGV[3], 'keep', ARGV[5], 'server', server_id())
return 1
