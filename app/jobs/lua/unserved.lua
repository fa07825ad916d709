-- The jobs nobody works on, oldest first. ARGV: now, home or nothing, how many at the most.

local home, limit = ARGV[2], tonumber(ARGV[3])
local found = {}

local function add(id)
  local fields = call('HMGET', job_key(id), 'seq', 'kind', 'home', 'received_at', 'expires_at')
  if fields[1] and (home == '' or fields[3] == home) then
    table.insert(found, {seq = tonumber(fields[1]), fields = {id, fields[2], fields[3], fields[4], fields[5]}})
  end
end

local queued = {}
for _, lane in ipairs(call('SMEMBERS', key('lanes'))) do
  if home == '' or lane:match('^[^:]*') == home then
    local ids = call('ZRANGE', key('lane', lane), 0, limit - 1, 'WITHSCORES')
    for at = 1, #ids, 2 do
      table.insert(queued, {id = ids[at], seq = tonumber(ids[at + 1])})
    end
  end
end
table.sort(queued, function(one, other) return one.seq < other.seq end)
for at = 1, math.min(limit, #queued) do
  add(queued[at].id)
end
for _, id in ipairs(call('ZRANGEBYSCORE', key('leases'), '-inf', '(' .. ARGV[1])) do
  add(id)
end
table.sort(found, function(one, other) return one.seq < other.seq end)
local rows = {}
for at = 1, math.min(limit, #found) do
  rows[at] = found[at].fields
end
return rows
