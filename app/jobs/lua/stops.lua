-- The running jobs of an owner that are to be stopped. ARGV: owner.

local ids = {}
for _, id in ipairs(call('SMEMBERS', key('stops'))) do
  local found = call('HMGET', job_key(id), 'state', 'owner')
  if found[1] == 'running' and found[2] == ARGV[1] then
    table.insert(ids, id)
  end
end
return ids
