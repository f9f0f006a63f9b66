-- A bidder process's heartbeat, and the leases that it asks for.
-- KEYS levels, meta, pools, leases, processes, hungry
-- ARGV now, epoch it knows ('' at first), process, then for each want: line, share, lease to extend or 0, and of micros
--      and impressions what the demand needs, the least that is of use, and what it would hold ahead of demand
-- Returns {epoch or '', now, recall counter, end of the day, names of levels under which another process is hungry, then (lease or 0, micros,
--      impressions) each; impressions of -1: nothing to hold ahead, ask again when there is demand}.
-- Nothing is granted, and no heartbeat noted, unless the process knows the current epoch.
--
-- A process gets the least that is of use while there is so much; beyond it what it needs, up to its part of what is
-- free; and ahead of demand a hundredth of a budget. Who does not get the least leaves the names of the levels that
-- were in the way: whoever holds money under them that it does not use gives it back.
local now = time_ms(ARGV[1])
local meta = redis.call('HMGET', KEYS[2], 'epoch', 'day', 'ends', 'next_day', 'next_ends', 'recall', 'lease')
local epoch = meta[1] or ''
local day, ends = tonumber(meta[2] or 0), tonumber(meta[3] or 0)
if now >= ends then day, ends = tonumber(meta[4] or 0), tonumber(meta[5] or 0) end
local reply = {epoch, integer(now), meta[6] or '0', integer(ends), ''}
if epoch == '' or epoch ~= ARGV[2] then return reply end
redis.call('HSET', KEYS[5], ARGV[3], integer(now))
local counter, first = tonumber(meta[7] or 0), tonumber(meta[7] or 0)
local processes, pools = redis.call('HLEN', KEYS[5]), math.max(1, redis.call('HLEN', KEYS[3]))
local HELD_AHEAD = 100 -- a process holds one in so many of a budget's units before anybody has bid with them
local HUNGRY_MS = 3000
local hungry = {}

local function grantable(names, unit, need, least, ahead)
  local free, most
  for i, name in ipairs(names) do
    local level = levels[name]
    if level[unit + BUDGET] >= 0 then
      if not free or level[unit + FREE] < free then free = level[unit + FREE] end
      -- The balance and a campaign's budget are for all pools together.
      local part = level[unit + BUDGET] / HELD_AHEAD / (i <= 2 and pools or 1)
      if not most or part < most then most = part end
    end
  end
  if not free then return math.max(need, need > 0 and least or 0, ahead) end
  ahead = math.min(ahead, math.floor(most), math.floor(free / (2 * processes)))
  if need == 0 then return ahead >= least and math.max(ahead, 0) or 0 end
  return math.min(free, math.max(least, math.min(need, math.floor(free / processes)), ahead))
end

local function go_hungry(names, unit, least)
  for _, name in ipairs(names) do
    local level = levels[name]
    if level[unit + BUDGET] >= 0 and level[unit + FREE] < least and level[unit + EXPOSURE] > 0 then
      hungry[#hungry + 1] = name
      hungry[#hungry + 1] = integer(now) .. ' ' .. ARGV[3]
    end
  end
end

local function lease_for(id, line, share, campaign)
  if id ~= '0' then
    local packed = redis.call('HGET', KEYS[4], id)
    if packed then
      local lease = unpack_lease(packed)
      local same_pool = lease[7] == tonumber(line) and lease[8] == tonumber(share)
      if lease[5] == 0 and lease[9] == day and same_pool and lease.process == ARGV[3] then return id, lease end
    end
  end
  counter = counter + 1
  local lease = {0, 0, 0, 0, 0, campaign, tonumber(line), tonumber(share), day}
  lease.process = ARGV[3]
  return integer(day * DAY_SHIFT + counter), lease
end

for at = 4, #ARGV, 9 do
  local line, share = ARGV[at], ARGV[at + 1]
  local packed = redis.call('HGET', KEYS[3], line .. '.' .. share)
  local id, micros, impressions = '0', 0, 0
  if packed and now < ends then
    local pool = {struct.unpack(POOL, packed)}
    local names = names_of(line, share, integer(pool[1]), day)
    read_levels(names)
    open_day(names, pool)
    local need, least, ahead = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 5]), tonumber(ARGV[at + 7])
    local shown, fewest, some = tonumber(ARGV[at + 4]), tonumber(ARGV[at + 6]), tonumber(ARGV[at + 8])
    micros = grantable(names, MICROS, need, least, ahead)
    impressions = grantable(names, IMPRESSIONS, shown, fewest, some)
    if need > 0 then
      if micros < least then go_hungry(names, MICROS, least) end
      if impressions < fewest then go_hungry(names, IMPRESSIONS, fewest) end
    end
    if micros > 0 and impressions > 0 then
      local lease
      id, lease = lease_for(ARGV[at + 2], line, share, pool[1])
      move_all(names, 0, micros, 0, impressions)
      lease[1], lease[2] = lease[1] + micros, lease[2] + micros
      lease[3], lease[4] = lease[3] + impressions, lease[4] + impressions
      write_lease(KEYS[4], id, lease)
    else
      micros, impressions = 0, need > 0 and 0 or -1
    end
  end
  reply[#reply + 1] = id
  reply[#reply + 1] = integer(micros)
  reply[#reply + 1] = integer(impressions)
end
write_levels()
if #hungry > 0 then
  redis.call('HSET', KEYS[6], unpack(hungry))
  redis.call('PEXPIRE', KEYS[6], 2 * HUNGRY_MS)
end
if redis.call('EXISTS', KEYS[6]) == 1 then
  local marks, names = redis.call('HGETALL', KEYS[6]), {}
  for i = 1, #marks, 2 do
    local since, process = string.match(marks[i + 1], '^(%d+) (.*)$')
    if tonumber(since) > now - HUNGRY_MS then
      if process ~= ARGV[3] then names[#names + 1] = marks[i] end
    else
      redis.call('HDEL', KEYS[6], marks[i])
    end
  end
  reply[5] = table.concat(names, ' ')
end
if counter > first then redis.call('HSET', KEYS[2], 'lease', integer(counter)) end
return reply
