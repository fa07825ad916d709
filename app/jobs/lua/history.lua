-- Finished jobs, newest first. ARGV: user or nothing, since, until, how many to pass over, how many at the most.

local index = ARGV[1] == '' and key('done') or key('done', ARGV[1])
local ids = call('ZREVRANGEBYSCORE', index, '(' .. ARGV[3], ARGV[2], 'LIMIT', ARGV[4], ARGV[5])
local rows = {}
for _, id in ipairs(ids) do
  local fields = call('HMGET', job_key(id), 'kind', 'user', 'home', 'owner', 'because', 'outcome', 'provider', 'error',
    'received_at', 'started_at', 'finished_at')
  table.insert(fields, 1, id)
  table.insert(rows, fields)
end
return rows
