-- Drop what a user asked: in jobs that are done at once, in open ones as soon as they end. ARGV: user.

local dropped = 0
for _, id in ipairs(call('ZRANGE', key('accepted', ARGV[1]), 0, -1)) do
  local job = job_key(id)
  local state = call('HGET', job, 'state')
  if state == 'done' then
    dropped = dropped + call('HDEL', job, 'payload')
    call('HDEL', job, 'repeat')
  elseif state then
    call('HSET', job, 'repeat', NEVER)
  end
end
return dropped
