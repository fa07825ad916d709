-- Keep jobs of another store, in the order in which they were accepted there; one that is here already stays as it is.
-- ARGV for each: id, how many fields, their names and values, the lease's end ('' if it has none), the time to live.

local kept = 0

local function take_over(id, first, last, lease_until, ttl)
  local job = job_key(id)
  if call('EXISTS', job) == 1 then
    return
  end
  local seq = call('INCR', key('seq'))
  call('HSET', job, 'seq', seq, unpack(ARGV, first, last))
  call('EXPIRE', job, ttl)
  local found = call('HMGET', job, 'state', 'user', 'home', 'kind', 'owner', 'stop', 'pinned', 'received_at',
    'started_at', 'finished_at')
  local state, user, home, kind, owner, stop = unpack(found, 1, 6)
  if state == 'waiting' then
    local aside = stop == '1' or found[7] or call('HEXISTS', job, 'result') == 1
    call('HSET', job, 'lane', enter_queue(id, seq, home, kind, user, aside))
  elseif state == 'running' then
    enter_running(id, owner, user, found[9], lease_until)
    if stop == '1' then
      call('SADD', key('stops'), id)
    end
  else
    call('ZADD', key('done'), found[10], id)
    call('ZADD', key('done', user), found[10], id)
    call('EXPIRE', key('done', user), USER_TTL)
  end
  call('ZADD', key('accepted', user), found[8], id)
  call('EXPIRE', key('accepted', user), USER_TTL)
  kept = kept + 1
end

local at = 1
while at <= #ARGV do
  local last = at + 1 + 2 * tonumber(ARGV[at + 1])
  take_over(ARGV[at], at + 2, last, ARGV[last + 1], ARGV[last + 2])
  at = last + 3
end
return kept
