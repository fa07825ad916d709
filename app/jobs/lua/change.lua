-- Set and drop fields of a job under its lease. ARGV: id, fencing number, the owner's pin ('1', '0' or '' to leave it),
-- a new time to live in seconds or '', how many pairs to set, the pairs, the fields to drop.

local id = ARGV[1]
if not is_current(id, ARGV[2]) then
  return 0
end
local job = job_key(id)
if ARGV[3] == '1' then
  call('HSET', job, 'pinned', call('HGET', job, 'owner'))
elseif ARGV[3] == '0' then
  call('HDEL', job, 'pinned')
end
if ARGV[4] ~= '' then
  call('EXPIRE', job, ARGV[4])
end
local pairs_end = 5 + 2 * tonumber(ARGV[5])
for at = 6, pairs_end, 2 do
  call('HSET', job, ARGV[at], ARGV[at + 1])
end
for at = pairs_end + 1, #ARGV do
  call('HDEL', job, ARGV[at])
end
return 1
