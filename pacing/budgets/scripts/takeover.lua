-- Quarantine the open leases of processes that are dead, or of all processes when an epoch ends.
-- KEYS levels, meta, leases, closing, processes
-- ARGV now, silence that means death (ms), how long a lease lives after the last heartbeat and its bids after that
--      (ms, together), new epoch or ''
-- Returns the names of the processes. A quarantined lease keeps all that it held until its last possible bill.
local now, silence, quarantine = time_ms(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
if not redis.call('HGET', KEYS[2], 'epoch') then return {} end
local everyone = ARGV[4] ~= ''
local beats, dead, gone = redis.call('HGETALL', KEYS[5]), {}, {}
for i = 1, #beats, 2 do
  local beat = tonumber(beats[i + 1])
  if everyone or beat + silence <= now then
    -- A takeover at a change of epoch cannot trust heartbeats that a replica may have missed.
    dead[beats[i]] = everyone and now or beat
    gone[#gone + 1] = beats[i]
  end
end
if everyone or #gone > 0 then
  local fields = redis.call('HGETALL', KEYS[3])
  for i = 1, #fields, 2 do
    local lease = unpack_lease(fields[i + 1])
    if lease[5] == 0 and (everyone or dead[lease.process]) then
      lease[5] = (dead[lease.process] or now) + quarantine
      redis.call('ZADD', KEYS[4], integer(lease[5]), fields[i])
      write_lease(KEYS[3], fields[i], lease)
    end
  end
  if #gone > 0 then redis.call('HDEL', KEYS[5], unpack(gone)) end
end
if everyone then redis.call('HSET', KEYS[2], 'epoch', ARGV[4], 'server', server_id()) end
return gone
