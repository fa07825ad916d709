-- Open jobs by home, as two lists of pairs: those that wait and those that run.

local waiting, running = {}, {}
for _, lane in ipairs(call('SMEMBERS', key('lanes'))) do
  local home = lane:match('^[^:]*')
  waiting[home] = (waiting[home] or 0) + call('ZCARD', key('lane', lane))
end
for _, id in ipairs(call('ZRANGE', key('leases'), 0, -1)) do
  local home = call('HGET', job_key(id), 'home')
  if home then
    running[home] = (running[home] or 0) + 1
  end
end

local function flat(counts)
  local list = {}
  for home, count in pairs(counts) do
    table.insert(list, home)
    table.insert(list, count)
  end
  return list
end

return {flat(waiting), flat(running)}
