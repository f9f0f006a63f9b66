-- Shared by every money script (put in front of it when it is loaded). KEYS[1] is always the levels hash.
--
-- A level is one budget that a pool spends from. It is stored as ten int64: budget, spent, exposure, free and over
-- budget, first in micros (1-5), then in impressions (6-10). A budget of -1 limits nothing: spent and exposure are
-- counted all the same, since a limit may be set later. For every other: spent + exposure + free == budget, always.
-- Numbers are doubles here, exact to 2^53: nine thousand million units of a currency.

local LEVEL = '<i8i8i8i8i8i8i8i8i8i8'
local LEASE = '<i8i8i8i8i8i8i8i8i8'
local POOL = '<i8i8i8i8i8'
local MICROS, IMPRESSIONS = 0, 5
local BUDGET, SPENT, EXPOSURE, FREE, OVER = 1, 2, 3, 4, 5
local DAY_SHIFT = 68719476736 -- 2^36: a lease id is the day (since 1970, in the advertiser's zone) and a counter

local levels, changed = {}, {}

local function integer(number)
  return string.format('%.0f', number)
end

-- The server's clock is the only one that all processes share; a test passes its own time.
local function time_ms(given)
  local now = tonumber(given)
  if now > 0 then return now end
  local clock = redis.call('TIME')
  return tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
end

local function set_budget(level, unit, budget)
  local old = level[unit + BUDGET]
  if budget < 0 then
    level[unit + BUDGET], level[unit + FREE] = -1, 0
  elseif old < 0 then
    level[unit + BUDGET] = budget
    level[unit + FREE] = budget - level[unit + SPENT] - level[unit + EXPOSURE]
  else
    level[unit + BUDGET] = budget
    level[unit + FREE] = level[unit + FREE] + budget - old
  end
end

local function move(level, unit, spent, exposure)
  level[unit + SPENT] = level[unit + SPENT] + spent
  level[unit + EXPOSURE] = level[unit + EXPOSURE] + exposure
  if level[unit + BUDGET] >= 0 then level[unit + FREE] = level[unit + FREE] - spent - exposure end
end

local function read_levels(names)
  local missing = {}
  for _, name in ipairs(names) do
    if not levels[name] then missing[#missing + 1] = name end
  end
  if #missing == 0 then return end
  local packed = redis.call('HMGET', KEYS[1], unpack(missing))
  for i, name in ipairs(missing) do
    if packed[i] then
      levels[name] = {struct.unpack(LEVEL, packed[i])}
    else
      levels[name] = {-1, 0, 0, 0, 0, -1, 0, 0, 0, 0, fresh = true}
    end
  end
end

local function write_levels()
  local fields = {}
  for name in pairs(changed) do
    local v = levels[name]
    fields[#fields + 1] = name
    fields[#fields + 1] = struct.pack(LEVEL, v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9], v[10])
    if #fields >= 200 then
      redis.call('HSET', KEYS[1], unpack(fields))
      fields = {}
    end
  end
  if #fields > 0 then redis.call('HSET', KEYS[1], unpack(fields)) end
  changed = {}
end

-- Names of the levels that limit a pool on a day: balance, campaign, line item total and daily, share total and daily.
local function names_of(line, share, campaign, day)
  local pool, at = line .. '.' .. share, '@' .. integer(day)
  return {'a', 'c' .. campaign, 'l' .. line, 'd' .. line .. at, 'p' .. pool, 'q' .. pool .. at}
end

-- The two daily levels are made when the day first spends from them, with the limits that the pool has then.
local function open_day(names, pool)
  for i = 4, 6, 2 do
    local level = levels[names[i]]
    if level.fresh and pool then
      set_budget(level, MICROS, pool[i == 4 and 2 or 4])
      set_budget(level, IMPRESSIONS, pool[i == 4 and 3 or 5])
    end
    level.fresh = nil
  end
end

local function move_all(names, spent, exposure, impressions_spent, impressions_exposure)
  for _, name in ipairs(names) do
    move(levels[name], MICROS, spent, exposure)
    move(levels[name], IMPRESSIONS, impressions_spent, impressions_exposure)
    changed[name] = true
  end
end

-- lease: 1 granted, 2 held, 3 impressions granted, 4 impressions held, 5 closing time (0: open), 6 campaign,
-- 7 line item, 8 share, 9 day; `process` is the rest of the value
local function unpack_lease(packed)
  local lease = {struct.unpack(LEASE, packed)}
  lease.process = string.sub(packed, lease[10])
  return lease
end

local function write_lease(key, id, lease)
  redis.call('HSET', key, id, struct.pack(
    LEASE, lease[1], lease[2], lease[3], lease[4], lease[5], lease[6], lease[7], lease[8], lease[9]) .. lease.process)
end

local function lease_names(lease)
  return names_of(integer(lease[7]), integer(lease[8]), integer(lease[6]), lease[9])
end

-- Give part of a lease's exposure back to the budgets.
local function release(lease, micros, impressions)
  local names = lease_names(lease)
  read_levels(names)
  move_all(names, 0, -micros, 0, -impressions)
  lease[2], lease[4] = lease[2] - micros, lease[4] - impressions
end

-- Changes with every start of a server, and with every failover to another one.
local function server_id()
  return string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or ''
end
