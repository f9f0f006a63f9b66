-- Shared like _levels.lua. Whether a user's tombstone (segments/facts/meta.py: version 1, flags with 1 for an opt-out,
-- moment of the erasure in unix ms) forbids to write of a bid made at `issued` (unix s): the user has opted out, or was
-- erased since, where clocks may differ by `margin` seconds. One that cannot be read forbids it.
local function is_barred(profile, issued, margin)
  local tombstone = redis.call('HGET', profile, 'm')
  if not tombstone then return false end
  if #tombstone ~= 10 or string.byte(tombstone, 1) ~= 1 or string.byte(tombstone, 2) % 2 == 1 then return true end
  local low, high = struct.unpack('<I4I4', tombstone, 3)
  return (tonumber(issued) - tonumber(margin)) * 1000 <= high * 4294967296 + low
end
