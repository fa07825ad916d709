-- Choose what an instance may lease, and lease it. ARGV: the request as JSON, and `now` and the leases' end as text.
--
-- The order is that of app/jobs/sqlite_leasing.py: own pins and what a dead instance left; then the own home's jobs, a
-- dead home's, and those that a live home can't serve. Within each, users take turns: a user's first job goes before
-- everybody's second, counting what runs already. However long the queue is, only the first users of each lane are
-- looked at, and no more jobs than LOOKS.

local request = cjson.decode(ARGV[1])
local now_text, until_text = ARGV[2], ARGV[3]
local owner, now, limit = request.owner, request.now, request.limit
local room, suspects = request.kinds, request.suspects
local chosen, seen = {}, {}

local function as_set(list)
  local set = {}
  for _, value in ipairs(list) do
    set[value] = true
  end
  return set
end

local held, dead, full, spent = as_set(request.held), as_set(request.dead), as_set(request.full), as_set(request.spent)

local function has_room(kind)
  return (room[kind] or 0) > 0
end

-- Note a candidate if the request allows it still. What was begun already needs no room.
local function choose(id, because, kind, attempts, begun)
  if #chosen >= limit or (attempts >= SUSPECT_AFTER and suspects > 0) or not (begun or has_room(kind)) then
    return false
  end
  if attempts >= SUSPECT_AFTER then
    suspects = suspects + 1
  end
  room[kind] = (room[kind] or 0) - 1
  table.insert(chosen, {id = id, because = because})
  return true
end

local function by_age(one, other)
  return one.seq < other.seq
end

-- What others left running, or an earlier life of ours.

local begun, left = {}, {}

local function consider(id, owner_index)
  if seen[id] then
    return
  end
  seen[id] = true
  local job = job_key(id)
  local found = call('HMGET', job, 'state', 'seq', 'kind', 'pinned', 'stop', 'attempts')
  if found[1] ~= 'running' then -- it ran out altogether
    call('ZREM', key('leases'), id)
    call('ZREM', owner_index, id)
    return
  end
  local stop = found[5] == '1'
  if found[4] and found[4] ~= owner and not stop then
    return
  end
  local one = {id = id, seq = tonumber(found[2]), kind = found[3], attempts = tonumber(found[6])}
  if stop or call('HEXISTS', job, 'checkpoint') == 1 or call('HEXISTS', job, 'result') == 1 then
    one.because = 'recovered'
    table.insert(begun, one)
  elseif has_room(one.kind) then
    table.insert(left, one)
  end
end

local function consider_all(ids, owner_index)
  for _, id in ipairs(ids) do
    consider(id, owner_index)
  end
end

consider_all(call('ZRANGEBYSCORE', key('leases'), '-inf', '(' .. now_text, 'LIMIT', 0, LOOKS), key('leases'))
for _, id in ipairs(call('ZRANGE', key('began', owner), 0, -1)) do
  if not held[id] then
    consider(id, key('began', owner))
  end
end
for instance in pairs(dead) do
  local beat_at = call('ZSCORE', key('beat_at'), instance)
  if not beat_at or tonumber(beat_at) < request.dead_before then
    consider_all(call('ZRANGE', key('began', instance), 0, -1), key('began', instance))
  end
end
for instance, since in pairs(request.lives) do
  local began = key('began', instance)
  consider_all(call('ZRANGEBYSCORE', began, '-inf', '(' .. string.format('%.17g', since)), began)
end

-- The lanes of the queue by rank: own, dead, other homes.

local ranks = {{}, {}, {}}

local function look_aside(home, lane)
  for _, id in ipairs(call('ZRANGE', lane, 0, LOOKS - 1)) do
    local found = call('HMGET', job_key(id), 'seq', 'kind', 'pinned', 'stop', 'received_at', 'because')
    local anybodys = not found[3] or found[4] == '1'
    if found[1] and (found[3] == owner or (anybodys and (home == owner or tonumber(found[5]) < request.stale))) then
      table.insert(begun, {id = id, seq = tonumber(found[1]), kind = found[2], attempts = 0, because = found[6]})
    end
  end
end

local function look_at(name)
  local home, kind = name:match('^([^:]*):(.*)$')
  if kind == ASIDE then
    look_aside(home, key('lane', name))
  elseif not has_room(kind) then
    return
  elseif home == owner then
    table.insert(ranks[1], {name = name, kind = kind, because = 'home'})
  elseif dead[home] then
    table.insert(ranks[2], {name = name, kind = kind, because = 'home_down'})
  else
    local out = spent[name]
    local before = (full[home] or out) and request.known or request.stale
    table.insert(ranks[3], {name = name, kind = kind, because = out and 'home_spent' or 'home_busy', before = before})
  end
end

for _, name in ipairs(call('SMEMBERS', key('lanes'))) do
  look_at(name)
end

-- A heap of users with their next job in a lane, by turn and age.

local function sooner(one, other)
  return one.turn < other.turn or (one.turn == other.turn and one.seq < other.seq)
end

local function push(heap, entry)
  local at = #heap + 1
  heap[at] = entry
  while at > 1 and sooner(entry, heap[math.floor(at / 2)]) do
    local parent = math.floor(at / 2)
    heap[at], heap[parent] = heap[parent], entry
    at = parent
  end
end

local function pop(heap)
  local first, last = heap[1], table.remove(heap)
  if #heap == 0 then
    return first
  end
  local at = 1
  heap[1] = last
  while true do
    local child = 2 * at
    if child < #heap and sooner(heap[child + 1], heap[child]) then
      child = child + 1
    end
    if child > #heap or not sooner(heap[child], last) then
      return first
    end
    heap[at], heap[child] = heap[child], last
    at = child
  end
end

local busy = {}

local function enter_users(heap, lane)
  local oldest = lane.before and call('ZRANGE', key('lane', lane.name), 0, 0)[1]
  local received_at = oldest and call('HGET', job_key(oldest), 'received_at')
  if received_at and tonumber(received_at) >= lane.before then
    return
  end
  local heads = call('ZRANGE', key('heads', lane.name), 0, (lane.before and FEWER_USERS or USERS) - 1, 'WITHSCORES')
  local users = {}
  for at = 1, #heads, 2 do
    table.insert(users, heads[at])
  end
  if #users == 0 then
    return
  end
  for at, running in ipairs(call('HMGET', key('busy'), unpack(users))) do
    local user = users[at]
    busy[user] = busy[user] or tonumber(running or 0)
    push(heap, {lane = lane, user = user, seq = tonumber(heads[2 * at]), turn = busy[user] + 1})
  end
end

-- Look at a user's next job in a lane: whether it may be had, and whether it makes sense to look further.
local function look(entry)
  local lane, user = entry.lane, entry.user
  local id = call('ZRANGEBYSCORE', key('queue', lane.name, user), entry.seq, entry.seq)[1]
  local found = id and call('HMGET', job_key(id), 'received_at', 'avoid', 'avoid_until', 'attempts')
  if found and not found[1] then -- it ran out altogether
    leave_queue(id, lane.name, user)
  elseif found and lane.before and tonumber(found[1]) >= lane.before then
    return false
  elseif found and not (found[2] == owner and found[3] ~= '' and tonumber(found[3]) >= now) then
    if choose(id, lane.because, lane.kind, tonumber(found[4]), false) then
      busy[user] = busy[user] + 1
    end
  end
  return true
end

local function next_of(entry)
  local queue = key('queue', entry.lane.name, entry.user)
  local found = call('ZRANGEBYSCORE', queue, '(' .. string.format('%.0f', entry.seq), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  return found[1] and {lane = entry.lane, user = entry.user, seq = tonumber(found[2]), turn = busy[entry.user] + 1}
end

local function serve(lanes)
  local heap, looks = {}, 0
  for _, lane in ipairs(lanes) do
    enter_users(heap, lane)
  end
  while #heap > 0 and #chosen < limit and looks < LOOKS do
    local entry = pop(heap)
    local turn = busy[entry.user] + 1
    if has_room(entry.lane.kind) and (request.user_limit == 0 or turn <= request.user_limit) then
      if turn > entry.turn then -- it was given one in another lane meanwhile
        entry.turn = turn
        push(heap, entry)
      else
        looks = looks + 1
        local more = look(entry) and next_of(entry)
        if more then
          push(heap, more)
        end
      end
    end
  end
end

table.sort(begun, by_age)
for _, one in ipairs(begun) do
  choose(one.id, one.because, one.kind, one.attempts, true)
end
table.sort(left, by_age)
for _, one in ipairs(left) do
  choose(one.id, 'recovered', one.kind, one.attempts, false)
end
for _, lanes in ipairs(ranks) do
  if #chosen < limit and #lanes > 0 then
    serve(lanes)
  end
end

local jobs = {}
for _, one in ipairs(chosen) do
  table.insert(jobs, take(one.id, one.because, owner, now_text, until_text, request.since))
end
return jobs
