-- Note a billed impression or a click of a user: the frequency ring (impressions only) and the touches for attribution.
-- KEYS user's profile hash, user's touches
-- ARGV now (unix s), line item or 0 (no ring record), longest cap window (s), most records, touch (packed), most touches,
--      how long touches are kept (s)
-- Returns how many records the ring has.
local now, line = tonumber(ARGV[1]), tonumber(ARGV[2])
local kept = 0
if line > 0 then
  local ring = redis.call('HGET', KEYS[1], 'i') or ''
  local oldest, records = now - tonumber(ARGV[3]), {}
  for at = 1, #ring - 7, 8 do
    local _, shown = struct.unpack('<I4I4', ring, at)
    if shown > oldest then records[#records + 1] = string.sub(ring, at, at + 7) end
  end
  records[#records + 1] = struct.pack('<I4I4', line, now)
  local most = tonumber(ARGV[4])
  if #records > most then records = {unpack(records, #records - most + 1)} end
  redis.call('HSET', KEYS[1], 'i', table.concat(records))
  -- A user whom no shop knows has no other field, and no other writer that would let the hash expire.
  local life = redis.call('TTL', KEYS[1])
  if life < tonumber(ARGV[3]) and (life >= 0 or redis.call('HLEN', KEYS[1]) == 1) then
    redis.call('EXPIRE', KEYS[1], ARGV[3])
  end
  kept = #records
end
redis.call('RPUSH', KEYS[2], ARGV[5])
redis.call('LTRIM', KEYS[2], -tonumber(ARGV[6]), -1)
redis.call('EXPIRE', KEYS[2], ARGV[7])
return kept
