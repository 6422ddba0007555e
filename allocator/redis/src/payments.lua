-- What the scripts about payments share: bookings, and the keys of `book`.

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
  if key == '' or keys >= 16 then return end
  local entry = record.attempts .. ':' .. hash .. ':' .. key
  record.books = keys == 0 and entry or record.books .. ' ' .. entry
  local field = 'b' .. record.account .. ' ' .. key
  if not lib.get(field) then lib.put(field, record.id) end
end
