-- End a job. ARGV: id, fencing number, outcome, when, provider, error, whether it may be repeated,
-- and what is kept of its payload then (nothing: all).

local id = ARGV[1]
if not is_current(id, ARGV[2]) then
  return 0
end
local job = job_key(id)
local found = call('HMGET', job, 'owner', 'user', 'repeat')
local again = found[3] == NEVER and '' or ARGV[7]
call('HSET', job, 'state', 'done', 'outcome', ARGV[3], 'finished_at', ARGV[4], 'provider', ARGV[5], 'error', ARGV[6])
leave_running(id, found[1], found[2])
call('HDEL', job, 'checkpoint', 'result', 'lane', 'avoid', 'avoid_until', 'pinned', 'stop')
if again == '' then
  call('HDEL', job, 'payload', 'repeat')
end
if again == '' then
  -- Written anew without its payload it takes a third of the memory, for the day it is kept.
  local fields = call('HGETALL', job)
  call('DEL', job)
  call('HSET', job, unpack(fields))
else
  call('HSET', job, 'repeat', again)
  if ARGV[8] ~= '' then
    call('HSET', job, 'payload', ARGV[8])
  end
end
call('EXPIRE', job, DONE_TTL)
local mine = key('done', found[2])
call('ZADD', key('done'), ARGV[4], id)
call('ZADD', mine, ARGV[4], id)
call('EXPIRE', mine, USER_TTL)
call('EXPIRE', key('done'), USER_TTL)
return 1
