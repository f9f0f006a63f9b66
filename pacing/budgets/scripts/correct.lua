-- Book a correction: money or impressions that were settled wrongly, with its ledger row.
-- KEYS levels, meta, pools, ledger, notices of corrections
-- ARGV now, correction's key, line, share, campaign, day, micros, impressions (may be negative), ledger row's fixed part,
--      then (name, micros, impressions) of each level that was dropped with what it counts, as the ledger has it spent
-- Returns {'corrected'}, {'duplicate'} or {'unready'}.
if not redis.call('HGET', KEYS[2], 'epoch') then return {'unready'} end
if redis.call('HSETNX', KEYS[5], ARGV[2], '1') == 0 then return {'duplicate'} end
local now, micros, impressions = time_ms(ARGV[1]), tonumber(ARGV[7]), tonumber(ARGV[8])
local names = names_of(ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6]))
read_levels(names)
for at = 10, #ARGV, 3 do
  local level = levels[ARGV[at]]
  if level and level.fresh then
    move(level, MICROS, tonumber(ARGV[at + 1]), 0)
    move(level, IMPRESSIONS, tonumber(ARGV[at + 2]), 0)
  end
end
local pool = redis.call('HGET', KEYS[3], ARGV[3] .. '.' .. ARGV[4])
-- Daily levels of long ago are dropped; one that began anew here would say that the day had only this correction.
local keep, booked = tonumber(redis.call('HGET', KEYS[2], 'keep') or 0), {}
for i, name in ipairs(names) do
  local daily = i == 4 or i == 6
  if not (daily and levels[name].fresh and tonumber(ARGV[6]) < keep) then booked[#booked + 1] = name end
end
open_day(names, pool and {struct.unpack(POOL, pool)})
move_all(booked, micros, 0, impressions, 0)
write_levels()
redis.call('XADD', KEYS[4], '*', 'row', ARGV[9], 'at', integer(now), 'price', '0', 'charge', integer(micros),
  'impressions', integer(impressions), 'late', '0', 'over', '0', 'house', '0')
return {'corrected'}
