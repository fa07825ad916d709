-- Put before every script. Keys and fields are listed in docs/store.md.

-- Each script first writes something that takes memory: an old server refuses that one when its memory is full, and what
-- was written before it would stay.

local call = redis.call

local function key(...)
  return PREFIX .. table.concat({...}, ':')
end

local function job_key(id)
  return PREFIX .. 'job:' .. id
end

-- The queue: a lane for each home and kind, with its users' first jobs and each user's jobs in order. What is set aside
-- does not wait for its turn: only one instance can go on with it, or there is only something left to end.

local function is_aside(lane)
  return lane:sub(-1) == ASIDE
end

local function enter_queue(id, seq, home, kind, user, aside)
  local lane = home .. ':' .. (aside and ASIDE or kind)
  call('ZADD', key('lane', lane), seq, id)
  call('SADD', key('lanes'), lane)
  if not aside then
    call('ZADD', key('queue', lane, user), seq, id)
    call('ZADD', key('heads', lane), 'LT', seq, user)
  end
  return lane
end

local function leave_queue(id, lane, user)
  local all = key('lane', lane)
  call('ZREM', all, id)
  if call('EXISTS', all) == 0 then
    call('SREM', key('lanes'), lane)
  end
  if is_aside(lane) then
    return
  end
  local queue, heads = key('queue', lane, user), key('heads', lane)
  call('ZREM', queue, id)
  local first = call('ZRANGE', queue, 0, 0, 'WITHSCORES')
  if first[1] then
    call('ZADD', heads, first[2], user)
  else
    call('ZREM', heads, user)
  end
end

local function enter_running(id, owner, user, started_at, lease_until)
  call('ZADD', key('leases'), lease_until, id)
  call('ZADD', key('began', owner), started_at, id)
  call('HINCRBY', key('busy'), user, 1)
end

local function leave_running(id, owner, user)
  call('ZREM', key('leases'), id)
  call('ZREM', key('began', owner), id)
  call('SREM', key('stops'), id)
  if call('HINCRBY', key('busy'), user, -1) <= 0 then
    call('HDEL', key('busy'), user)
  end
end

local function count_waiting()
  local waiting = 0
  for _, lane in ipairs(call('SMEMBERS', key('lanes'))) do
    waiting = waiting + call('ZCARD', key('lane', lane))
  end
  return waiting
end

-- A fencing number is larger than those before it, and never one that a server which was lost with its last writes may
-- have given out: so it follows the clock.
local function next_fence(last)
  local time = call('TIME')
  return math.max(tonumber(last) + 1, tonumber(time[1]) * 1000000 + tonumber(time[2]))
end

local function is_current(id, fence)
  local found = call('HMGET', job_key(id), 'state', 'fence')
  return found[1] == 'running' and found[2] == fence
end

-- Give one job to `owner` under a new fencing number. An attempt is counted, unless the owner was given it after `since`
-- already and knows nothing of it.
local function take(id, because, owner, now, lease_until, since)
  local job = job_key(id)
  local found = call('HMGET', job, 'state', 'owner', 'user', 'lane', 'fence', 'started_at', 'stop')
  local user = found[3]
  call('HSET', job, 'state', 'running', 'owner', owner, 'because', because, 'fence', next_fence(found[5]),
    'started_at', now)
  if found[1] == 'waiting' then
    leave_queue(id, found[4], user)
  else
    leave_running(id, found[2], user)
  end
  if found[1] == 'waiting' or found[2] ~= owner or tonumber(found[6]) < since then
    call('HINCRBY', job, 'attempts', 1)
  end
  enter_running(id, owner, user, now, lease_until)
  if found[7] == '1' then
    call('SADD', key('stops'), id)
  end
  local fields = call('HMGET', job, 'kind', 'user', 'home', 'received_at', 'expires_at', 'payload', 'fence', 'attempts',
    'because', 'stop', 'checkpoint', 'result', 'parts')
  table.insert(fields, 1, id)
  return fields
end
