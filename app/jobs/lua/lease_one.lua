-- Lease one job that nobody serves. ARGV: id, owner, now, until when.

local id, owner, now = ARGV[1], ARGV[2], ARGV[3]
local found = call('HMGET', job_key(id), 'state', 'home')
if found[1] == 'running' then
  local lease_until = call('ZSCORE', key('leases'), id)
  if lease_until and tonumber(lease_until) >= tonumber(now) then
    return false
  end
elseif found[1] ~= 'waiting' then
  return false
end
return take(id, found[2] == owner and 'home' or 'home_busy', owner, now, ARGV[4], math.huge)
