-- Note a billed impression or a click of a user: the frequency ring (impressions only) and the touches for attribution.
-- KEYS user's profile hash, user's touches
-- ARGV now (unix s), number of the ring's record (docs/profile-layout.md) or 0 (none), longest cap window (s), most records,
--      touch (packed), most touches, how long touches are kept (s), when the bid was made (unix s), how far clocks may
--      differ (s)
-- Returns how many records the ring has; -1 when the user has opted out, or was erased since the bid was made: then
-- nothing is written.
local now, number = tonumber(ARGV[1]), tonumber(ARGV[2])
if is_barred(KEYS[1], ARGV[8], ARGV[9]) then return -1 end
local kept = 0
if number > 0 then
  local ring = redis.call('HGET', KEYS[1], 'i') or ''
  -- Records are in order of time, so what is too old or too many is a part at the front.
  local oldest, first = now - tonumber(ARGV[3]), 1
  local most = (tonumber(ARGV[4]) - 1) * 8
  if #ring > most then first = #ring - most + 1 end
  while first + 7 <= #ring do
    local _, shown = struct.unpack('<I4I4', ring, first)
    if shown > oldest then break end
    first = first + 8
  end
  ring = string.sub(ring, first) .. struct.pack('<I4I4', number, now)
  redis.call('HSET', KEYS[1], 'i', ring)
  -- A user whom no shop knows has no other field, and no other writer that would let the hash expire.
  local life = redis.call('TTL', KEYS[1])
  if life < tonumber(ARGV[3]) and (life >= 0 or redis.call('HLEN', KEYS[1]) == 1) then
    redis.call('EXPIRE', KEYS[1], ARGV[3])
  end
  kept = #ring / 8
end
redis.call('RPUSH', KEYS[2], ARGV[5])
redis.call('LTRIM', KEYS[2], -tonumber(ARGV[6]), -1)
redis.call('EXPIRE', KEYS[2], ARGV[7])
return kept
