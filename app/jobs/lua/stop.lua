-- Mark an open job as to be stopped. ARGV: id, the user whose it must be, whether that matters.

local id = ARGV[1]
local job = job_key(id)
local found = call('HMGET', job, 'state', 'user', 'lane', 'seq', 'home', 'kind')
if (found[1] ~= 'waiting' and found[1] ~= 'running') or (ARGV[3] == '1' and found[2] ~= ARGV[2]) then
  return 0
end
call('HSET', job, 'stop', 1)
if found[1] == 'running' then
  call('SADD', key('stops'), id)
elseif not is_aside(found[3]) then
  leave_queue(id, found[3], found[2])
  call('HSET', job, 'lane', enter_queue(id, found[4], found[5], found[6], found[2], true))
end
return 1
