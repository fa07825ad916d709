-- Take back what this very request put, and whatever of it may still be on its way. ARGV: id, put_by.

local id, put_by = ARGV[1], ARGV[2]
local job = job_key(id)
call('SET', key('withdrawn', id, put_by), 1, 'EX', WITHDRAWN_TTL)
local found = call('HMGET', job, 'state', 'fence', 'put_by', 'lane', 'user')
if not found[1] or found[3] ~= put_by then
  return 1
end
if found[1] ~= 'waiting' or found[2] ~= '0' then
  return 0
end
leave_queue(id, found[4], found[5])
call('ZREM', key('accepted', found[5]), id)
call('DEL', job)
return 1
