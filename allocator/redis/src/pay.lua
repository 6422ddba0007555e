-- Pay: a hold is being paid from now on, or what came of it before.
-- ARGV: 3 event, 4 account, 5 "h" hold, "o" place or "x" nothing there is, 6 which, 7 key, 8 its
-- body's hash, 9 the booking it joins, 10 token, 11 how long payment has, 12 cap.
-- Answers {1 begun, hold, record}, {2 live, hold, record, keyed}, {3 before, booking}, {4 expired},
-- {5 not the holder}, {6 not found} or {7 another body}; what expired comes last.

-- The booking of a hold's attempt; `event` is the event's id.
local function booking_of(event, id, attempt)
  local stem = event .. '_' .. id
  if string.sub(id, 1, 1) == '!' then stem = string.gsub(string.sub(id, 2), '^hld_', '') end
  return 'bkg_' .. stem .. '_' .. attempt
end

-- The hold that a booking was made of.
local function hold_of(event, booking)
  local stem = string.match(booking, '^bkg_(.*)_[^_]*$')
  if not stem then return nil end
  local own = event .. '_'
  if string.sub(stem, 1, #own) == own then return string.sub(stem, #own + 1) end
  return '!hld_' .. stem
end

local function keep_book_key(lib, record, key, hash)
  local _, keys = string.gsub(record.books, '%S+', '')
  if key == '' or keys >= KEYS_MAX then return end
  local entry = record.attempts .. ':' .. hash .. ':' .. key
  record.books = keys == 0 and entry or record.books .. ' ' .. entry
  local field = 'b' .. record.account .. ' ' .. key
  if not lib.get(field) then lib.put(field, record.id) end
end

local lib = copy()
if not lib.begin(FREED_MAX) then return -1 end
local event, account, key, hash, joins = ARGV[3], ARGV[4], ARGV[7], ARGV[8], ARGV[9]

-- From now on the command cannot be taken back.
local function join(record, keyed)
  lib.take(record)
  record.shared = '1'
  if not keyed and joins ~= '' and record.booking == joins then
    keep_book_key(lib, record, key, hash)
  end
  lib.put_back(record)
  return {2, record.id, lib.written(record), keyed and 1 or 0}
end

-- The key is compared before anything else.
local function before()
  local id = key ~= '' and lib.get('b' .. account .. ' ' .. key)
  local record = id and lib.hold(id)
  if not record then return nil end
  for attempt, kept, name in string.gmatch(record.books, '(%d+):(%x+):(%S+)') do
    if name == key then
      if kept ~= hash then return {7} end
      local booking = booking_of(event, id, attempt)
      if record.state ~= 'p' or record.booking ~= booking then return {3, booking} end
      return join(record, true)
    end
  end
end

-- The hold that is meant, or the answer.
local function target()
  if ARGV[5] == 'h' then return ARGV[6] end
  if ARGV[5] == 'x' then return nil, {6} end
  local owner = lib.get('o' .. ARGV[6])
  if owner and string.sub(owner, 1, 1) ~= '$' then
    lib.hold(owner)
    owner = lib.get('o' .. ARGV[6])
  end
  if not owner then return nil, {4} end
  if string.sub(owner, 1, 1) ~= '$' then return owner end
  local booking, buyer = string.match(owner, '^%$(%S+) (%S+)$')
  if buyer ~= account then return nil, {5} end
  local id = hold_of(event, booking)
  if id and lib.hold(id) then return id end
  return nil, {3, booking}
end

local function pay()
  local answer = before()
  if answer then return answer end
  local id
  id, answer = target()
  if answer then return answer end
  local record = lib.hold(id)
  if not record then return {6} end
  if record.account ~= account then return {5} end
  if record.state == 'p' then return join(record, false) end
  if record.state == 'o' then
    if record.bought ~= '' then return {3, record.bought} end
    return {4}
  end
  if joins ~= '' then return {3, joins} end
  lib.take(record)
  local deadline = now + ARGV[11]
  record.attempts = record.attempts + 1
  record.state, record.resend, record.shared = 'p', deadline, '0'
  record.booking = booking_of(event, record.id, record.attempts)
  record.command = 't ' .. now .. ' ' .. deadline .. ' ' .. ARGV[12] .. ' ' .. ARGV[10]
  keep_book_key(lib, record, key, hash)
  lib.put_back(record)
  return {1, record.id, lib.written(record)}
end

local answer = pay()
lib.flush()
answer[#answer + 1] = table.concat(lib.late, ' ')
return answer
