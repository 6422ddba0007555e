-- Unpay: a payment is taken back, as if it had never been begun. ARGV: 3 hold, 4 booking.
-- Answers {1 done, or 0; what expired}.
local lib = copy()
if not lib.begin(32) then return -1 end
local record, answer = lib.hold(ARGV[3]), 0
if record and record.state == 'p' and record.booking == ARGV[4] and record.shared == '0' then
  lib.take(record)
  local books = {}
  for attempt, rest, key in string.gmatch(record.books, '(%d+)(:%x+:(%S+))') do
    local field = 'b' .. record.account .. ' ' .. key
    if attempt + 0 ~= record.attempts then
      books[#books + 1] = attempt .. rest
    elseif lib.get(field) == record.id then
      lib.put(field, false)
    end
  end
  record.books = table.concat(books, ' ')
  record.attempts = math.max(0, record.attempts - 1)
  record.state, record.command = 'h', ''
  lib.put_back(record)
  answer = 1
end
lib.flush()
return {answer, table.concat(lib.late, ' ')}
