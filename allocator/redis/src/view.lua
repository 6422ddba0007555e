-- View: the part of the copy that one decision reads. ARGV: 3 holds, 4 places, 5 accounts.
-- With each hold come its account, its keys and the owners of its places; with each place its
-- owner with all that is about it. Answers {now, {field, value, ...}; what expired}, where a field
-- that is not there is ''.
--
-- The usual case touches nothing of copy(): nothing is due, and no hold that is read is over.
local head = redis.call('HMGET', KEYS[1], 'g', 'n', 'd')
if head[1] ~= ARGV[1] then return -1 end
now = math.max(now, head[2] + 0)
local lib
local function library()
  if not lib then
    lib = copy()
    lib.begin(FREED_MAX)
    lib.flush()
  end
  return lib
end
if now >= head[3] + 0 then library() end

local names, values, named, holds = {}, {}, {}, {}
local function name(field)
  if not named[field] then
    named[field] = true
    names[#names + 1] = field
  end
end
local function name_hold(id)
  if not named['h' .. id] then holds[#holds + 1] = id end
  name('h' .. id)
end

for place in string.gmatch(ARGV[4], '%S+') do name('o' .. place) end
read_fields(names, values, 1)
local owned = #names
for i = 1, owned do
  local owner = values[i]
  if owner and string.sub(owner, 1, 1) == '$' then
    name('a' .. string.match(owner, '%S+$'))
  elseif owner then
    name_hold(owner)
  end
end
for id in string.gmatch(ARGV[3], '%S+') do name_hold(id) end
for account in string.gmatch(ARGV[5], '%S+') do name('a' .. account) end
read_fields(names, values, owned + 1)

-- Account, until, attempts, state, places, keys of lock, keys of book.
local RECORD = '^([^\n]*)\n(%d+)\n%d+\n([^\n]*)\n([^\n]*)\n([^\n]*)\n([^\n]*)\n'
local rows, ended = {}, false
for i, field in ipairs(names) do
  if string.sub(field, 1, 1) == 'h' then rows[string.sub(field, 2)] = values[i] end
end
for _, id in ipairs(holds) do
  local _, till, state = string.match(rows[id] or '', RECORD)
  if till and ((state == 'h' and till + 0 <= now) or string.sub(state, 1, 1) == 'o') then
    library().hold(id)
    ended = true
  end
end
if ended then
  lib.flush()
  for _, id in ipairs(holds) do
    local row = lib.seen('h' .. id)
    rows[id] = row ~= '' and row
  end
end
local known = #names
for _, id in ipairs(holds) do
  local account, _, _, segments, locks, books = string.match(rows[id] or '', RECORD)
  if account then
    name('a' .. account)
    for from, count in string.gmatch(segments, '(%d+):(%d+)') do
      for place = from + 0, from + count - 1 do name('o' .. place) end
    end
    for key in string.gmatch(locks, '%x+:(%S+)') do name('k' .. account .. ' ' .. key) end
    for key in string.gmatch(books, '%d+:%x+:(%S+)') do name('b' .. account .. ' ' .. key) end
  end
end
read_fields(names, values, ended and 1 or known + 1)

local seen = {}
for i, field in ipairs(names) do
  local value = values[i]
  if string.sub(field, 1, 1) == 'h' then value = rows[string.sub(field, 2)] end
  seen[#seen + 1] = field
  seen[#seen + 1] = value or ''
end
return {now, seen, lib and table.concat(lib.late, ' ') or ''}
