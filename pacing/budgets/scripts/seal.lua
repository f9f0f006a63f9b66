-- A process takes no more reservations from these leases: what is not reserved goes back now, the rest at closing.
-- KEYS levels, meta, leases, closing
-- ARGV now, epoch, how long after its reservation a bid may be billed (ms), then (lease, reserved micros, impressions)
-- Amounts are absolute, so a repeated call changes nothing. Returns 1, or 0 when the epoch is not the current one.
local now = time_ms(ARGV[1])
if redis.call('HGET', KEYS[2], 'epoch') ~= ARGV[2] then return 0 end
for at = 4, #ARGV, 3 do
  local id = ARGV[at]
  local packed = redis.call('HGET', KEYS[3], id)
  if packed then
    local lease = unpack_lease(packed)
    local micros, impressions = lease[1] - tonumber(ARGV[at + 1]), lease[3] - tonumber(ARGV[at + 2])
    if micros >= 0 and impressions >= 0 and micros <= lease[2] and impressions <= lease[4] then
      release(lease, micros, impressions)
      lease[1], lease[3] = lease[1] - micros, lease[3] - impressions
    end
    if lease[2] == 0 and lease[4] == 0 then
      redis.call('HDEL', KEYS[3], id)
      redis.call('ZREM', KEYS[4], id)
    else
      if lease[5] == 0 then
        lease[5] = now + tonumber(ARGV[3])
        redis.call('ZADD', KEYS[4], integer(lease[5]), id)
      end
      write_lease(KEYS[3], id, lease)
    end
  end
end
write_levels()
return 1
