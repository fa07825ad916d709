-- Record what is new and within the limits. ARGV: fifteen values for each job.

local function repeatable(id, user)
  local found = call('HMGET', job_key(id), 'state', 'user', 'repeat')
  return found[1] == 'done' and found[2] == user and (found[3] == 'once' or found[3] == 'always') and found[3]
end

local waiting

local function is_full(bound)
  if bound == 0 then
    return false
  end
  waiting = waiting or count_waiting()
  return waiting >= bound
end

-- Why a new job may not be recorded, if so. One copy of an interaction may be slow, and another be refused meanwhile:
-- its user has read that, so the slow one is refused, too.
local function refusal(id, accepted, bound, quota, since, closed)
  local before = call('GET', key('refused', id))
  if before then
    return before
  end
  local why = closed == '1' and 'closed' or is_full(tonumber(bound)) and 'full'
    or tonumber(quota) > 0 and call('ZCOUNT', accepted, since, '+inf') >= tonumber(quota) and 'quota'
  if why then
    call('SET', key('refused', id), why, 'EX', REFUSED_TTL)
  end
  return why
end

local function put(at)
  local id, kind, user, home, received_at, expires_at, payload, put_by, guild, channel, repeats, bound, quota, since,
    closed = unpack(ARGV, at, at + 14)
  local job, accepted = job_key(id), key('accepted', user)
  if call('EXISTS', job) == 1 then
    -- Whoever put it first may no longer take it back: somebody else is about to say that it was accepted.
    call('HSET', job, 'put_by', '')
    return 'duplicate'
  end
  local why = refusal(id, accepted, bound, quota, since, closed)
  if why then
    return why
  elseif put_by ~= '' and call('EXISTS', key('withdrawn', id, put_by)) == 1 then
    return 'gone'
  end
  local again = repeats ~= '' and repeatable(repeats, user)
  if repeats ~= '' and not again then
    return 'gone'
  end
  local seq = call('INCR', key('seq'))
  local lane = enter_queue(id, seq, home, kind, user, false)
  call('HSET', job, 'seq', seq, 'kind', kind, 'user', user, 'home', home, 'state', 'waiting', 'lane', lane,
    'received_at', received_at, 'expires_at', expires_at, 'payload', payload, 'put_by', put_by, 'guild', guild,
    'channel', channel, 'because', 'home', 'fence', 0, 'attempts', 0)
  call('EXPIRE', job, math.ceil(math.max(0, tonumber(expires_at) - tonumber(received_at))) + OPEN_TTL)
  call('ZADD', accepted, received_at, id)
  call('EXPIRE', accepted, USER_TTL)
  if again == 'once' then
    call('HDEL', job_key(repeats), 'payload', 'repeat')
  end
  waiting = waiting and waiting + 1
  return 'accepted'
end

local results = {}
for at = 1, #ARGV, 15 do
  table.insert(results, put(at))
end
return results
