-- Put a part of the catalogue's budgets in place: limits, pools that may lease and pools that no longer may, the calendar.
-- KEYS levels, meta, pools
-- ARGV now, epoch, day, day's end, next day, its end, first day to keep, how many levels, pools, removed pools, then
--      (name, micros, impressions) a level, (line, share, campaign, daily micros, daily impressions,
--      share's daily micros, share's daily impressions) a pool and (line, share) a removed pool
-- Returns 1, or 0 when the epoch is not the current one.
local epoch = redis.call('HGET', KEYS[2], 'epoch')
if not epoch or epoch ~= ARGV[2] then return 0 end
local level_count, pool_count, removed_count = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
local pools_at = 11 + 3 * level_count
local removed_at = pools_at + 7 * pool_count
local recall = false

-- A pool's levels of today and tomorrow.
local days = {'@' .. ARGV[3], '@' .. ARGV[5]}
local names, fields = {}, {}
for at = 11, pools_at - 1, 3 do names[#names + 1] = ARGV[at] end
for at = pools_at, removed_at - 1, 7 do
  local pool = ARGV[at] .. '.' .. ARGV[at + 1]
  fields[#fields + 1] = pool
  for _, day in ipairs(days) do
    names[#names + 1] = 'd' .. ARGV[at] .. day
    names[#names + 1] = 'q' .. pool .. day
  end
end
read_levels(names)

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

for at = 11, pools_at - 1, 3 do
  limit(ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]))
end

local known = #fields > 0 and redis.call('HMGET', KEYS[3], unpack(fields)) or {}
for i, field in ipairs(fields) do
  local at = pools_at + 7 * (i - 1)
  local pool = {}
  for place = 1, 5 do pool[place] = tonumber(ARGV[at + 1 + place]) end
  local packed = struct.pack(POOL, pool[1], pool[2], pool[3], pool[4], pool[5])
  if known[i] ~= packed then redis.call('HSET', KEYS[3], field, packed) end
  for _, day in ipairs(days) do
    local of_line, of_share = 'd' .. ARGV[at] .. day, 'q' .. field .. day
    if not levels[of_line].fresh then limit(of_line, pool[2], pool[3]) end
    if not levels[of_share].fresh then limit(of_share, pool[4], pool[5]) end
  end
end

for at = removed_at, removed_at + 2 * removed_count - 1, 2 do
  if redis.call('HDEL', KEYS[3], ARGV[at] .. '.' .. ARGV[at + 1]) == 1 then recall = true end
end
write_levels()
redis.call('HSET', KEYS[2], 'day', ARGV[3], 'ends', ARGV[4], 'next_day', ARGV[5], 'next_ends', ARGV[6])
-- Another time zone may bring an earlier day; what was dropped is not kept again.
if tonumber(redis.call('HGET', KEYS[2], 'keep') or 0) < tonumber(ARGV[7]) then
  redis.call('HSET', KEYS[2], 'keep', ARGV[7])
end
if recall then redis.call('HINCRBY', KEYS[2], 'recall', 1) end
return 1
