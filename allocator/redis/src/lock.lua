-- Lock: free places become held, all or none. The usual case is six calls and touches nothing of
-- copy(): generation, key, cap and time come in one read, what changes goes in one write.
--
-- ARGV: 1 generation, 2 how long a key is kept, 3 account, 4 the field of an earlier lock (of
-- the key, or the hold itself), 5 hold, 6 how long it lasts, 7 cap, 8 how many places,
-- 9 "p" or "b", 10 the key's line, 11 the slot's line.
-- p: 12 prices, 13 places, 14 the first of them, 15 how many lie side by side with it.
-- b: 12 how many sections, then of each: first place, end, "1" for general admission, price.
--
-- Answers until when it is held; for the best places with these; "K" with a hold that was there
-- before; or why not: -1 lost, -2 taken, -3 sold out, -4 over the cap, -5 another body,
-- -6 expired. With what expired meanwhile, an array of both.
local account, probe, id, count = ARGV[3], ARGV[4], ARGV[5], ARGV[8] + 0
local owned = 'a' .. account
local m = redis.call('HMGET', KEYS[1], 'g', 'n', 'd', 'c', owned, probe, 'q')
if m[1] ~= ARGV[1] then return -1 end
if now < m[2] + 0 then now = m[2] + 0 end
local late

local function answer(value)
  if late and #late > 0 then return {value, table.concat(late, ' ')} end
  return value
end

local function each_place(segments, visit)
  for from, length in string.gmatch(segments, '(%d+):(%d+)') do visit(from + 0, length + 0) end
end

if now >= m[3] + 0 then
  local lib = copy()
  lib.free(FREED_MAX)
  if lib.more and ARGV[9] == 'p' then
    -- More is due than one lock should wait for; the places it wants are looked at all the same.
    each_place(ARGV[13], function(from, length)
      for place = from, from + length - 1 do
        local owner = lib.get('o' .. place)
        if owner and string.sub(owner, 1, 1) ~= '$' then lib.hold(owner) end
      end
    end)
  end
  lib.flush()
  late = lib.late
  m = redis.call('HMGET', KEYS[1], 'g', 'n', 'd', 'c', owned, probe, 'q')
end

if m[6] then
  -- The key was here before; without a key, this very lock was.
  local keyed = string.sub(probe, 1, 1) == 'k'
  local lib = copy()
  local record = lib.hold(keyed and m[6] or id)
  if record then
    local known = not keyed
    for hash_and_key in string.gmatch(record.locks, '%S+') do
      known = known or hash_and_key == ARGV[10]
    end
    local raw = lib.written(record)
    lib.flush()
    if not known then return answer(-5) end
    if not lib.is_live(record) then return answer(-6) end
    return answer('K' .. record.id .. '\n' .. raw)
  end
  lib.flush()
end

local seats, holds = 0, ''
if m[5] then
  seats, holds = string.match(m[5], '^(%d+)(.*)$')
  seats = seats + 0
end

-- One's own hold, if it has all the places; the key is kept beside it.
local function own()
  local lib = copy()
  local owner = redis.call('HGET', KEYS[1], 'o' .. ARGV[14])
  local record = owner and string.sub(owner, 1, 1) ~= '$' and lib.read(owner)
  if not record or record.account ~= account then return -2 end
  local mine = {}
  for _, place in ipairs(lib.places_of(record)) do mine[place] = true end
  local all = true
  each_place(ARGV[13], function(from, length)
    for place = from, from + length - 1 do all = all and mine[place] end
  end)
  if not all then return -2 end
  local _, keys = string.gsub(record.locks, '%S+', '')
  if ARGV[10] ~= '' and keys < KEYS_MAX then
    lib.take(record)
    record.locks = keys == 0 and ARGV[10] or record.locks .. ' ' .. ARGV[10]
    lib.put_back(record)
    lib.put(probe, record.id)
    lib.flush()
  end
  return 'K' .. record.id .. '\n' .. lib.written(record)
end

local till = now + ARGV[6]
local set = {'n', now, 'c', m[4] + count, owned, (seats + count) .. holds .. ' ' .. id}

local function occupy(from, length)
  redis.call('SETRANGE', KEYS[2], from, string.rep('h', length))
  for place = from, from + length - 1 do
    set[#set + 1] = 'o' .. place
    set[#set + 1] = id
  end
end

local function keep(segments, prices)
  set[#set + 1] = 'h' .. id
  set[#set + 1] = account .. '\n' .. till .. '\n0\nh\n' .. segments .. '\n' .. ARGV[10] .. '\n\n'
    .. prices .. '\n' .. ARGV[11] .. '\n'
  if ARGV[10] ~= '' then
    set[#set + 1] = probe
    set[#set + 1] = id
  end
  if till < m[3] + 0 then
    set[#set + 1] = 'd'
    set[#set + 1] = till
  end
  redis.call('HSET', KEYS[1], unpack(set))
  redis.call('ZADD', KEYS[3], till, id)
end

if ARGV[9] == 'p' then
  local from, length = ARGV[14] + 0, ARGV[15] + 0
  if length == count then
    if redis.call('GETRANGE', KEYS[2], from, from + length - 1) ~= string.rep('.', length) then
      return answer(own())
    end
    if seats + count > ARGV[7] + 0 then return answer(-4) end
    occupy(from, length)
  else
    local free = true
    each_place(ARGV[13], function(at, len)
      local letters = free and redis.call('GETRANGE', KEYS[2], at, at + len - 1)
      free = free and letters == string.rep('.', len)
    end)
    if not free then return answer(own()) end
    if seats + count > ARGV[7] + 0 then return answer(-4) end
    each_place(ARGV[13], occupy)
  end
  keep(ARGV[13], ARGV[12])
  return answer(till)
end

if seats + count > ARGV[7] + 0 then return answer(-4) end
if count == 0 then return answer(-3) end
local FREE = string.byte('.')

-- Side by side: the first fit that leaves no single seat, else the first; where in `letters`.
local function side_by_side(letters, whole)
  local party, at, orphan = string.rep('.', count), 1, nil
  while true do
    local fit = string.find(letters, party, at, true)
    if not fit then return orphan, whole end
    local sure = whole or fit + count + 1 <= #letters
    local next, after = string.byte(letters, fit + count, fit + count + 1)
    if next ~= FREE or after == FREE then
      return fit, sure
    end
    orphan, at = orphan or fit, fit + count + 1
  end
end

-- Any places: where each of them is.
local function any(letters)
  local found, at = {}, 0
  while #found < count do
    at = string.find(letters, '.', at + 1, true)
    if not at then return nil end
    found[#found + 1] = at
  end
  return found
end

local searched = m[7] or ''
local function remember(first, from)
  local begin, stop = string.find(searched, ' ' .. first .. '=%d+')
  if begin then searched = string.sub(searched, 1, begin - 1) .. string.sub(searched, stop + 1) end
  searched = searched .. ' ' .. first .. '=' .. from
  return searched
end

for section = 1, ARGV[12] + 0 do
  local base = 8 + section * 4
  local first, stop, general = ARGV[base + 1], ARGV[base + 2] + 0, ARGV[base + 3] == '1'
  local from = (string.match(searched, ' ' .. first .. '=(%d+)') or first) + 0
  local window, found, sure = WINDOW, nil, false
  local letters
  while from < stop and not sure do
    local last = math.min(from + window, stop)
    letters = redis.call('GETRANGE', KEYS[2], from, last - 1)
    if general then
      found = any(letters)
      sure = found or last == stop
    else
      found, sure = side_by_side(letters, last == stop)
    end
    window = stop
  end
  local free = letters and string.find(letters, '.', 1, true)
  if found then
    local segments = {}
    if general then
      local at = 1
      while at <= #found do
        local begin, length = found[at], 0
        while found[at] == begin + length do
          length, at = length + 1, at + 1
        end
        occupy(from + begin - 1, length)
        segments[#segments + 1] = (from + begin - 1) .. ':' .. length
      end
      free = found[#found] + 1
    else
      occupy(from + found - 1, count)
      segments[1] = (from + found - 1) .. ':' .. count
      if free == found then free = found + count end
    end
    set[#set + 1] = 'q'
    set[#set + 1] = remember(first, from + free - 1)
    segments = table.concat(segments, ',')
    local price = ARGV[base + 4]
    keep(segments, price .. string.rep(',' .. price, count - 1))
    return answer('B' .. till .. '\n' .. segments)
  end
  local next = free and from + free - 1 or stop
  if next ~= from then
    redis.call('HSET', KEYS[1], 'q', remember(first, next))
  end
end
return answer(-3)
