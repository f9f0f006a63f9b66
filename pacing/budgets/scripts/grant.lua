-- A bidder process's heartbeat, and the leases that it asks for.
-- KEYS levels, meta, pools, leases, processes
-- ARGV now, epoch it knows ('' at first), process, then (line, share, lease to extend or 0, micros, impressions) each
-- Returns {epoch or '', now, recall counter, end of the day, then (lease or 0, micros, impressions) each}.
-- Nothing is granted, and no heartbeat noted, unless the process knows the current epoch.
local now = time_ms(ARGV[1])
local meta = redis.call('HMGET', KEYS[2], 'epoch', 'day', 'ends', 'next_day', 'next_ends', 'recall', 'lease')
local epoch = meta[1] or ''
local day, ends = tonumber(meta[2] or 0), tonumber(meta[3] or 0)
if now >= ends then day, ends = tonumber(meta[4] or 0), tonumber(meta[5] or 0) end
local reply = {epoch, integer(now), meta[6] or '0', integer(ends)}
if epoch == '' or epoch ~= ARGV[2] then return reply end
redis.call('HSET', KEYS[5], ARGV[3], integer(now))
local counter, first = tonumber(meta[7] or 0), tonumber(meta[7] or 0)

local function grantable(names, unit, want)
  for _, name in ipairs(names) do
    local level = levels[name]
    if level[unit + BUDGET] >= 0 and level[unit + FREE] < want then want = level[unit + FREE] end
  end
  return want
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

for at = 4, #ARGV, 5 do
  local line, share = ARGV[at], ARGV[at + 1]
  local packed = redis.call('HGET', KEYS[3], line .. '.' .. share)
  local id, micros, impressions = '0', 0, 0
  if packed and now < ends then
    local pool = {struct.unpack(POOL, packed)}
    local names = names_of(line, share, integer(pool[1]), day)
    read_levels(names)
    open_day(names, pool)
    micros = grantable(names, MICROS, tonumber(ARGV[at + 3]))
    impressions = grantable(names, IMPRESSIONS, tonumber(ARGV[at + 4]))
    if micros > 0 and impressions > 0 then
      local lease
      id, lease = lease_for(ARGV[at + 2], line, share, pool[1])
      move_all(names, 0, micros, 0, impressions)
      lease[1], lease[2] = lease[1] + micros, lease[2] + micros
      lease[3], lease[4] = lease[3] + impressions, lease[4] + impressions
      write_lease(KEYS[4], id, lease)
    else
      micros, impressions = 0, 0
    end
  end
  reply[#reply + 1] = id
  reply[#reply + 1] = integer(micros)
  reply[#reply + 1] = integer(impressions)
end
write_levels()
if counter > first then redis.call('HSET', KEYS[2], 'lease', integer(counter)) end
return reply
