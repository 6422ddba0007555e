-- Sweep: frees what is due and leases what is overdue.
-- ARGV: 3 how many of each at most, 4 how long a lease lasts, 5 the changes known to the caller.
-- Answers {how many ended, how many are held or being paid, changes, the string unless nothing
-- changed, {hold, record, ...} leased; what expired}.
local lib = copy()
local max = ARGV[3] + 0
if not lib.begin(0) then return -1 end
if now >= lib.get('d') + 0 then lib.free(max - finish_plain(lib, max)) end
local leased = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', now, 'LIMIT', 0, max)) do
  local record = lib.read(id)
  if record then
    lib.take(record)
    record.resend, record.shared = now + ARGV[4], '1'
    lib.put_back(record)
    leased[#leased + 1] = id
    leased[#leased + 1] = lib.written(record)
  end
end
lib.flush()
local changes = lib.get('c')
local held = redis.call('ZCARD', KEYS[3]) + redis.call('ZCARD', KEYS[5])
local letters = ''
if changes .. '' ~= ARGV[5] then letters = redis.call('GETRANGE', KEYS[2], 0, -1) end
return {lib.ended, held, changes + 0, letters, leased, table.concat(lib.late, ' ')}
