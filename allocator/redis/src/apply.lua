-- Apply: what an outcome makes of the seats.
-- ARGV: 3 effect: "k" keep, "s" sold, "h" held, "f" free, 4 hold, 5 booking, 6 its attempt, 7 the
-- most attempts, 8 how long a declined hold has at least, 9 the booking's places.
-- Answers {0 done before, 1 done, 2 not what was expected; what expired}.
local lib = copy()
if not lib.begin(32) then return -1 end
local DONE, ALREADY, UNEXPECTED = 1, 0, 2
local effect, booking = ARGV[3], ARGV[5]
local record = lib.hold(ARGV[4])
local paying = record and record.state == 'p' and record.booking == booking
local sold_by = '$' .. booking .. ' '

local function is_sold_by(place)
  local owner = lib.get('o' .. place)
  return owner and string.sub(owner, 1, #sold_by) == sold_by
end

local function all_sold()
  local all, some = true, false
  for place in string.gmatch(ARGV[9], '%d+') do
    some, all = true, all and is_sold_by(place)
  end
  return some and all
end

local function confirm()
  local places = lib.places_of(record)
  for _, place in ipairs(places) do
    if lib.get('o' .. place) ~= record.id then return UNEXPECTED end
  end
  lib.take(record)
  for _, place in ipairs(places) do
    lib.occupy(place, sold_by .. record.account, 's', record.account)
  end
  lib.put_over(record, booking)
  return DONE
end

local function decline()
  lib.take(record)
  if record.attempts >= ARGV[7] + 0 then
    lib.put_over(record, '')
  else
    record.state, record.command = 'h', ''
    record.till = math.max(record.till, now + ARGV[8])
    lib.put_back(record)
  end
  return DONE
end

local function unsell()
  local answer = ALREADY
  for place in string.gmatch(ARGV[9], '%d+') do
    if is_sold_by(place) then
      lib.vacate(place + 0, 's', string.sub(lib.get('o' .. place), #sold_by + 1))
      answer = DONE
    end
  end
  return answer
end

local function apply()
  if effect == 's' then
    if paying then return confirm() end
    return all_sold() and ALREADY or UNEXPECTED
  elseif effect == 'h' then
    if paying then return decline() end
    local knows = record and record.attempts >= ARGV[6] + 0 and not all_sold()
    return knows and ALREADY or UNEXPECTED
  elseif effect == 'f' then
    if not paying then return unsell() end
    lib.take(record)
    lib.put_over(record, '')
    return DONE
  end
  return ALREADY
end

local answer = apply()
lib.flush()
return {answer, table.concat(lib.late, ' ')}
