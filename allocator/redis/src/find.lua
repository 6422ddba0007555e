-- Find: a hold, the live holds of an account, or the hold that a key of lock made or found.
-- ARGV: 3 "h", "a" or "k", 4 hold, account, or account and key.
-- Answers {{hold, record, ...}; what expired}.
local lib = copy()
if not lib.begin(FREED_MAX) then return -1 end
local found = {}
local function show(id)
  local record = lib.hold(id)
  if record and (ARGV[3] ~= 'a' or lib.is_live(record)) then
    found[#found + 1] = id
    found[#found + 1] = lib.written(record)
  end
end
if ARGV[3] == 'h' then
  show(ARGV[4])
elseif ARGV[3] == 'k' then
  local id = lib.get('k' .. ARGV[4])
  if id then show(id) end
else
  for id in string.gmatch(lib.account_of(ARGV[4]).holds, '%S+') do show(id) end
end
lib.flush()
return {found, table.concat(lib.late, ' ')}
