-- Keep jobs of another store, in the order in which they were accepted there. One that is here already stays as it is,
-- unless it has come further there: it is done, or was leased since.
-- ARGV for each: id, state, fencing number, how many fields, their names and values, the lease's end ('' if it has none),
-- the time to live.

local kept = 0

-- Take a job out that has come further elsewhere, and return its place; nothing if it stays.
local function replaced(id, state, fence)
  local job = job_key(id)
  local here = call('HMGET', job, 'state', 'fence', 'seq', 'lane', 'user', 'owner')
  if here[1] == 'done' or (state ~= 'done' and tonumber(fence) <= tonumber(here[2])) then
    return
  elseif here[1] == 'waiting' then
    leave_queue(id, here[4], here[5])
  else
    leave_running(id, here[6], here[5])
  end
  call('DEL', job)
  return here[3]
end

local function take_over(id, state, fence, first, last, lease_until, ttl)
  local job = job_key(id)
  local seq
  if call('EXISTS', job) == 1 then
    seq = replaced(id, state, fence)
    if not seq then
      return
    end
  else
    seq = call('INCR', key('seq'))
  end
  call('HSET', job, 'seq', seq, unpack(ARGV, first, last))
  call('EXPIRE', job, ttl)
  local found = call('HMGET', job, 'user', 'home', 'kind', 'owner', 'stop', 'pinned', 'received_at', 'started_at',
    'finished_at')
  local user, home, kind, owner, stop, pinned, received_at, started_at, finished_at = unpack(found, 1, 9)
  if state == 'waiting' then
    local aside = stop == '1' or pinned or call('HEXISTS', job, 'result') == 1
    call('HSET', job, 'lane', enter_queue(id, seq, home, kind, user, aside))
  elseif state == 'running' then
    enter_running(id, owner, user, started_at, lease_until)
    if stop == '1' then
      call('SADD', key('stops'), id)
    end
  else
    call('ZADD', key('done'), finished_at, id)
    call('ZADD', key('done', user), finished_at, id)
    call('EXPIRE', key('done', user), USER_TTL)
    call('EXPIRE', key('done'), USER_TTL)
  end
  call('ZADD', key('accepted', user), received_at, id)
  call('EXPIRE', key('accepted', user), USER_TTL)
  kept = kept + 1
end

local at = 1
while at <= #ARGV do
  local last = at + 3 + 2 * tonumber(ARGV[at + 3])
  take_over(ARGV[at], ARGV[at + 1], ARGV[at + 2], at + 4, last, ARGV[last + 1], ARGV[last + 2])
  at = last + 3
end
return kept
