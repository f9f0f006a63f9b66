-- Drop daily levels whose tokens have all expired, but for those that a lease or a hold still stands on.
-- KEYS levels
-- ARGV now, then names
local names = {}
for at = 2, #ARGV do names[#names + 1] = ARGV[at] end
read_levels(names)
for _, name in ipairs(names) do
  local level = levels[name]
  if level[EXPOSURE] == 0 and level[IMPRESSIONS + EXPOSURE] == 0 then
    redis.call('HDEL', KEYS[1], name)
  end
end
return 1
