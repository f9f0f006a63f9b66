-- Note that a bid for a user is lost, so that its process need not count it against caps any longer.
-- KEYS user's profile hash
-- ARGV when the bid was made (unix s), how far clocks may differ (s), line item, most records, how long a hash with nothing
--      else is kept (s)
-- Returns 1; 0 when the tombstone forbids it: then nothing is written.
if is_barred(KEYS[1], ARGV[1], ARGV[2]) then return 0 end
local lost = (redis.call('HGET', KEYS[1], 'o') or '') .. struct.pack('<I4I4', tonumber(ARGV[3]), tonumber(ARGV[1]))
redis.call('HSET', KEYS[1], 'o', string.sub(lost, -8 * tonumber(ARGV[4])))
if redis.call('HLEN', KEYS[1]) == 1 then redis.call('EXPIRE', KEYS[1], ARGV[5]) end
return 1
