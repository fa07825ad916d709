-- Drop old finished jobs, and what is left in the indexes of jobs that ran out. ARGV: finished before, how many.

local ids = call('ZRANGEBYSCORE', key('done'), '-inf', '(' .. ARGV[1], 'LIMIT', 0, ARGV[2])
for _, id in ipairs(ids) do
  local user = call('HGET', job_key(id), 'user')
  if user then
    call('ZREM', key('done', user), id)
    call('ZREM', key('accepted', user), id)
    call('DEL', job_key(id))
  end
  call('ZREM', key('done'), id)
end

local busy = {}
for _, id in ipairs(call('ZRANGE', key('leases'), 0, -1)) do
  local user = call('HGET', job_key(id), 'user')
  if user then
    busy[user] = (busy[user] or 0) + 1
  else
    call('ZREM', key('leases'), id)
  end
end
local counted = call('HGETALL', key('busy'))
for at = 1, #counted, 2 do
  if not busy[counted[at]] then
    call('HDEL', key('busy'), counted[at])
  elseif busy[counted[at]] ~= tonumber(counted[at + 1]) then
    call('HSET', key('busy'), counted[at], busy[counted[at]])
  end
end
return #ids
