-- Reload: places become what the record says.
-- ARGV: 3 event, 4 how many places, then of each five: place, "s" sold, "p" being paid or "u"
-- unclaimed, booking, and account and "" if sold, or hold and record if it is being paid.
-- Answers {0; what expired}.
local lib = copy()
if not lib.begin(32) then return -1 end
local event = ARGV[3]

local function finish(record, bought)
  lib.take(record)
  lib.put_over(record, bought)
end

local function seller(owner) return string.match(owner, '^%$(%S+) (%S+)$') end

-- A hold loses all its places or none; one that is being paid goes on with the others.
local function evict(place)
  local owner = lib.get('o' .. place)
  if not owner then return end
  local _, buyer = seller(owner)
  if buyer then
    lib.vacate(place, 's', buyer)
    return
  end
  local record = lib.read(owner)
  if not record then return end
  if record.state == 'p' then
    lib.vacate(place, 'p', record.account)
  else
    finish(record, '')
  end
end

local function sold(place, booking, account)
  local owner = lib.get('o' .. place)
  if owner and seller(owner) == booking then return end
  local id = hold_of(event, booking)
  local record = id and lib.read(id)
  if record and lib.is_live(record) and not (record.state == 'p' and record.booking ~= booking)
  then
    finish(record, booking)
  end
  evict(place)
  if not lib.get('o' .. place) then
    lib.occupy(place, '$' .. booking .. ' ' .. account, 's', account)
  end
end

local function paying(place, booking, id, raw)
  local record = lib.read(id)
  local pays = record and record.state == 'p' and record.booking == booking
  if pays and lib.get('o' .. place) == id then return end
  evict(place)
  record = lib.read(id)
  if record and record.state == 'p' and record.booking == booking then
    lib.take(record)
    lib.put_back(record)
    return
  end
  local claimed = lib.parse(id, raw)
  if record then
    lib.take(record)
    claimed.locks, claimed.books = record.locks, record.books
  end
  lib.put_back(claimed)
end

local function unclaimed(place, booking)
  local owner = lib.get('o' .. place)
  if not owner then return end
  local by, buyer = seller(owner)
  if by then
    if by == booking then lib.vacate(place, 's', buyer) end
    return
  end
  local record = lib.read(owner)
  if record and record.state == 'p' and record.booking == booking then finish(record, '') end
end

for i = 0, ARGV[4] - 1 do
  local base = 5 + i * 5
  local place, kind, booking = ARGV[base] + 0, ARGV[base + 1], ARGV[base + 2]
  if kind == 's' then
    sold(place, booking, ARGV[base + 3])
  elseif kind == 'p' then
    paying(place, booking, ARGV[base + 3], ARGV[base + 4])
  else
    unclaimed(place, booking)
  end
end
lib.flush()
return {0, table.concat(lib.late, ' ')}
