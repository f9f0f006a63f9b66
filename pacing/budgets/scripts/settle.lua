-- One notice: win, bill or loss. Deduplicates, settles against the lease, and writes the ledger row of a bill.
-- KEYS levels, meta, pools, leases, closing, ledger, notices of the bid's bucket
-- Arguments by name: given_now, then given_<field> for each field of pacing.budgets.settling.SettleArguments.
-- Returns {outcome, charge, 1 if late, over budget micros, 1 if settled by the house rule}; the outcomes are in
-- docs/money.md. Nothing happens ('unready') while the counters are lost.
if not redis.call('HGET', KEYS[2], 'epoch') then return {'unready', '0', '0', '0', '0'} end
local now, kind, notice, lease_id = time_ms(given_now), given_kind, given_notice, given_lease
local line, share, campaign, day = given_line_item, given_share, given_campaign, tonumber(given_day)
local reserved = tonumber(given_reserved)
local STATE = '<c1i8i8' -- what became of the bid, the price and the charge that its win notice named; then a hold's id

local known, hold = redis.call('HGET', KEYS[7], notice), nil
local state, won_price, won_charge = 'n', -1, -1
if known then
  local rest
  state, won_price, won_charge, rest = struct.unpack(STATE, known)
  hold = string.sub(known, rest)
end

local function remember(new_state, price, charge, held)
  redis.call('HSET', KEYS[7], notice, struct.pack(STATE, new_state, price, charge) .. (held or ''))
  if not known and redis.call('TTL', KEYS[7]) < 0 then redis.call('EXPIRE', KEYS[7], given_remember_s) end
end

local function holding(id)
  local packed = id ~= '' and id ~= '0' and redis.call('HGET', KEYS[4], id)
  if not packed then return nil end
  local lease = unpack_lease(packed)
  if lease[2] < reserved or lease[4] < 1 then return nil end
  if lease[7] ~= tonumber(line) or lease[8] ~= tonumber(share) then return nil end
  return lease
end

local function put_back(id, lease)
  if lease[5] > 0 and lease[2] == 0 and lease[4] == 0 then
    redis.call('HDEL', KEYS[4], id)
    redis.call('ZREM', KEYS[5], id)
  else
    write_lease(KEYS[4], id, lease)
  end
end

local function answer(outcome)
  return {outcome, '0', '0', '0', '0'}
end

-- A win keeps the reservation after its lease has closed: it moves to a hold, one a pool and minute, until billed.
local function win()
  if state == 'w' then return answer('duplicate_win') end
  if state == 'b' then return answer('win_after_bill') end
  local source, held = holding(lease_id), ''
  if state == 'n' and source then
    local until_ms = math.ceil((now + tonumber(given_win_hold_ms)) / 60000) * 60000
    held = 'w' .. integer(source[9]) .. '.' .. line .. '.' .. share .. '.' .. integer(until_ms)
    local packed = redis.call('HGET', KEYS[4], held)
    local target
    if packed then
      target = unpack_lease(packed)
    else
      target = {0, 0, 0, 0, until_ms, source[6], source[7], source[8], source[9], process = ''}
      redis.call('ZADD', KEYS[5], integer(until_ms), held)
    end
    target[1], target[2] = target[1] + reserved, target[2] + reserved
    target[3], target[4] = target[3] + 1, target[4] + 1
    source[2], source[4] = source[2] - reserved, source[4] - 1
    write_lease(KEYS[4], held, target)
    put_back(lease_id, source)
  end
  remember('w', tonumber(given_price), tonumber(given_charge), held)
  if state == 'l' then return answer('win_after_loss') end
  return answer(source and 'won' or 'late_win')
end

local function lose()
  if state == 'l' then return answer('duplicate_loss') end
  if state == 'b' then return answer('loss_after_bill') end
  local from = state == 'w' and hold or lease_id
  local lease = holding(from)
  if lease then
    release(lease, reserved, 1)
    write_levels()
    put_back(from, lease)
  end
  remember('l', won_price, won_charge)
  if state == 'w' then return answer('loss_after_win') end
  return answer(lease and 'lost' or 'late_loss')
end

-- How much of a late charge no budget covers; levels that it overdraws remember it.
local function overdraw(names, charge)
  local most = 0
  for _, name in ipairs(names) do
    local level = levels[name]
    for unit, amount in pairs({[MICROS] = charge, [IMPRESSIONS] = 1}) do
      if level[unit + BUDGET] >= 0 and level[unit + FREE] < 0 then
        local over = math.min(amount, -level[unit + FREE])
        level[unit + OVER] = level[unit + OVER] + over
        most = math.max(most, unit == MICROS and over or charge)
      end
    end
  end
  return most
end

local function bill()
  if state == 'b' then return answer('duplicate_bill') end
  local price, charge, house = tonumber(given_price), tonumber(given_charge), '0'
  if price < 0 then price, charge = won_price, won_charge end
  if price < 0 then price, charge, house = tonumber(given_house_price), tonumber(given_house_charge), '1' end
  local from = lease_id
  if state == 'w' then from = hold elseif state == 'l' then from = '' end
  local lease, over = holding(from), 0
  local names = lease and lease_names(lease) or names_of(line, share, campaign, day)
  read_levels(names)
  if lease then
    move_all(names, charge, -reserved, 1, -1)
    lease[2], lease[4] = lease[2] - reserved, lease[4] - 1
    put_back(from, lease)
  else
    local pool = redis.call('HGET', KEYS[3], line .. '.' .. share)
    open_day(names, pool and {struct.unpack(POOL, pool)})
    move_all(names, charge, 0, 1, 0)
    over = overdraw(names, charge)
    if over > 0 then redis.call('HINCRBY', KEYS[2], 'recall', 1) end
  end
  write_levels()
  remember('b', price, charge)
  local late = lease and '0' or '1'
  redis.call('XADD', KEYS[6], '*', 'row', given_row, 'at', integer(now), 'price', integer(price),
    'charge', integer(charge), 'impressions', '1', 'late', late, 'over', integer(over), 'house', house)
  local outcome = 'billed'
  if not lease then outcome = over > 0 and 'over_budget' or 'late_bill' end
  return {outcome, integer(charge), late, integer(over), house}
end

if kind == 'w' then return win() end
if kind == 'l' then return lose() end
return bill()
