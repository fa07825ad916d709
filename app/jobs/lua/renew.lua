-- Extend leases. ARGV: owner, until when, then id and fencing number of each. Returns those that are lost.

local lost = {}
for at = 3, #ARGV, 2 do
  local id = ARGV[at]
  if is_current(id, ARGV[at + 1]) and call('HGET', job_key(id), 'owner') == ARGV[1] then
    call('ZADD', key('leases'), ARGV[2], id)
  else
    table.insert(lost, id)
  end
end
return lost
