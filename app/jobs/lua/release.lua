-- Hand a job back to the queue. ARGV: id, fencing number, whether the attempt counts, until when its owner avoids it.

local id = ARGV[1]
if not is_current(id, ARGV[2]) then
  return 0
end
local job = job_key(id)
local found = call('HMGET', job, 'owner', 'user', 'seq', 'home', 'kind', 'stop', 'pinned')
call('HSET', job, 'state', 'waiting', 'avoid', found[1], 'avoid_until', ARGV[4])
leave_running(id, found[1], found[2])
local aside = found[6] == '1' or found[7] or call('HEXISTS', job, 'result') == 1
local lane = enter_queue(id, found[3], found[4], found[5], found[2], aside)
call('HSET', job, 'lane', lane)
call('HDEL', job, 'owner')
if ARGV[3] == '0' then
  call('HINCRBY', job, 'attempts', -1)
end
return 1
