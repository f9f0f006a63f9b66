-- Put the catalogue's budgets in place: new limits, the pools that may lease, the calendar.
-- KEYS levels, meta, pools
-- ARGV now, epoch, day, day's end, next day, its end, first day to keep, levels, pools,
--      then (name, micros, impressions) a level and (line, share, campaign, daily micros, daily impressions,
--      share's daily micros, share's daily impressions) a pool
-- Returns 1, or 0 when the epoch is not the current one.
local epoch = redis.call('HGET', KEYS[2], 'epoch')
if not epoch or epoch ~= ARGV[2] then return 0 end
local day, next_day, keep = tonumber(ARGV[3]), tonumber(ARGV[5]), tonumber(ARGV[7])
local level_count, pool_count = tonumber(ARGV[8]), tonumber(ARGV[9])
local recall, at = false, 10

local function limit(name, micros, impressions)
  local level = levels[name]
  if level[1] ~= micros then set_budget(level, MICROS, micros); changed[name] = true end
  if level[6] ~= impressions then set_budget(level, IMPRESSIONS, impressions); changed[name] = true end
  if level.fresh then changed[name] = true end
  level.fresh = nil
  -- Money that bidders hold beyond the new limit comes back at once: they see the recall counter move.
  if level[FREE] < 0 or level[IMPRESSIONS + FREE] < 0 then
    if level[EXPOSURE] > 0 or level[IMPRESSIONS + EXPOSURE] > 0 then recall = true end
  end
end

for _ = 1, level_count do
  read_levels({ARGV[at]})
  limit(ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]))
  at = at + 3
end

local known, wanted = redis.call('HKEYS', KEYS[3]), {}
for _ = 1, pool_count do
  local line, share, campaign = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local pool = {tonumber(campaign), tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5]), tonumber(ARGV[at + 6])}
  wanted[line .. '.' .. share] = true
  redis.call('HSET', KEYS[3], line .. '.' .. share, struct.pack(POOL, pool[1], pool[2], pool[3], pool[4], pool[5]))
  for _, date in ipairs({day, next_day}) do
    local names = names_of(line, share, campaign, date)
    read_levels({names[4], names[6]})
    if not levels[names[4]].fresh then limit(names[4], pool[2], pool[3]) end
    if not levels[names[6]].fresh then limit(names[6], pool[4], pool[5]) end
  end
  at = at + 7
end
for _, field in ipairs(known) do
  if not wanted[field] then
    redis.call('HDEL', KEYS[3], field)
    recall = true
  end
end
write_levels()

redis.call('HSET', KEYS[2], 'day', ARGV[3], 'ends', ARGV[4], 'next_day', ARGV[5], 'next_ends', ARGV[6])
if redis.call('HGET', KEYS[2], 'kept') ~= ARGV[7] then
  -- Once a day: levels of days whose tokens have all expired.
  local waiting = false
  for _, name in ipairs(redis.call('HKEYS', KEYS[1])) do
    local date = string.match(name, '@(%d+)$')
    if date and tonumber(date) < keep then
      local old = {struct.unpack(LEVEL, redis.call('HGET', KEYS[1], name))}
      if old[EXPOSURE] == 0 and old[IMPRESSIONS + EXPOSURE] == 0 then
        redis.call('HDEL', KEYS[1], name)
      else
        waiting = true -- for its leases to close; the next sync looks again
      end
    end
  end
  if not waiting then redis.call('HSET', KEYS[2], 'kept', ARGV[7]) end
end
if recall then redis.call('HINCRBY', KEYS[2], 'recall', 1) end
return 1
