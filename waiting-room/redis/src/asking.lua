-- When somebody who was called and refused should ask again, in milliseconds: `Turn::ask_after`.

-- Called and unanswered, and before this place.
local function called_before(number, kept)
  if not kept then return line.outstanding + call('ZCARD', RETRYING) end
  return math.min(line.outstanding, math.max(0, number - (closed_to() + 1)))
end

local function ask_after(why, number, kept, kept_millis)
  local latest = math.max(ASK_MILLIS_MIN, math.floor(kept_millis / 2))
  local turn, least = latest, 0
  if why == 'rate' then
    if line.rate_per_minute > 0 then
      least = math.ceil(math.max(0, TOKEN - line.rate_units) / line.rate_per_minute)
    end
    turn = least
      + math.floor(called_before(number, kept) * TOKEN / math.max(1, line.rate_per_minute))
  elseif why == 'full' then
    local first = call('ZRANGE', ENDS, 0, 0, 'WITHSCORES')[2]
    turn = first and tonumber(first) - line.now or 0
  end
  return math.max(least, math.max(ASK_MILLIS_MIN, math.min(latest, turn)))
end
