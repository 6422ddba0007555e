-- Snapshot: the packed string. ARGV: 3 the changes known to the caller.
-- Answers {changes, the string unless nothing changed; what expired}.
local lib = copy()
if not lib.begin(FREED_MAX) then return -1 end
lib.flush()
local changes, letters = lib.get('c'), ''
if changes .. '' ~= ARGV[3] then letters = redis.call('GETRANGE', KEYS[2], 0, -1) end
return {changes + 0, letters, table.concat(lib.late, ' ')}
