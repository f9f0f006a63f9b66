-- Close leases whose last reservation can no longer be billed, and return what they still hold.
-- KEYS levels, leases, closing
-- ARGV now, how many at most
-- Returns how many were closed.
local now = time_ms(ARGV[1])
local due = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', integer(now), 'LIMIT', '0', ARGV[2])
for _, id in ipairs(due) do
  local packed = redis.call('HGET', KEYS[2], id)
  if packed then
    local lease = unpack_lease(packed)
    release(lease, lease[2], lease[4])
    redis.call('HDEL', KEYS[2], id)
  end
  redis.call('ZREM', KEYS[3], id)
end
write_levels()
return #due
