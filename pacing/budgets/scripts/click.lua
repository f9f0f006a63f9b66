-- Count the click on a bid once, however often the link is followed, and judge whether it counts (pacing/notices/clicks.py).
-- KEYS notices of the bid's bucket, delivery of its day, journal, clicks of browsers on this day
-- ARGV notice key, how long to remember (s), how long counts are kept (s), now (unix ms), least time since the ad was
--      shown (ms), browser or '', most clicks of a browser, how long these are kept (s), what is known already or '',
--      then three times the word for it, the field to count in and the row for the journal or '': of a click that
--      counts, of one that is known not to, that came too soon, that is one too many
-- Returns the word; 0 for a click that was counted before.
if redis.call('HSETNX', KEYS[1], 'c' .. ARGV[1], '1') == 0 then return 0 end
if redis.call('TTL', KEYS[1]) < 0 then redis.call('EXPIRE', KEYS[1], ARGV[2]) end
local verdict, first = ARGV[9], 10
local shown = redis.call('HGET', KEYS[1], 'i' .. ARGV[1])
if verdict ~= '' then
  first = 13
elseif shown and tonumber(ARGV[4]) - tonumber(shown) < tonumber(ARGV[5]) then
  first = 16
end
if ARGV[6] ~= '' then
  local clicks = redis.call('HINCRBY', KEYS[4], ARGV[6], '1')
  if clicks == 1 then redis.call('EXPIRE', KEYS[4], ARGV[8]) end
  if clicks > tonumber(ARGV[7]) and first == 10 then first = 19 end
end
redis.call('HINCRBY', KEYS[2], ARGV[first + 1], '1')
redis.call('EXPIRE', KEYS[2], ARGV[3])
if ARGV[first + 2] ~= '' then redis.call('XADD', KEYS[3], '*', 'row', ARGV[first + 2]) end
return ARGV[first]
