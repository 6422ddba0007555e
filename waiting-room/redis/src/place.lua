-- Where a number stands: `Line::place`.

-- What it is called, and how many milliseconds of its window are left: -1 for no end.
local function place(number)
  local slot = get_slot(number)
  if slot and not is_forgotten(slot) then return is_live(number) and 'admitted' or 'done', 0, slot end
  if call('ZSCORE', LEFT, int(number)) then return 'done', 0 end
  if number > line.now_serving then return 'waiting', 0 end
  local doubtful = is_doubtful(number)
  local one = called(number)
  local claim, back = claim_millis(), back_millis()
  if one and line.granting_millis - one.at < claim then
    return 'ready', math.min(claim, claim - (line.granting_millis - one.at))
  end
  if doubtful then return 'returning', -1 end
  if one and line.granting_millis - one.at < claim + back then
    return 'returning', claim + back - (line.granting_millis - one.at)
  end
  return 'missed', 0
end
