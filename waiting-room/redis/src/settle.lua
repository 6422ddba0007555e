-- Settles what became of a slot or a place. ARGV: its number, what, and an id of this report: a
-- failure that is reported again counts once.
if not open_line() then return { 0 } end
advance()
local number, what, report = tonumber(ARGV[3]), ARGV[4], ARGV[5]

-- One of the claims that commit this slot failed; the last one gives it back.
local function failed(slot)
  call('ZREMRANGEBYSCORE', FAILURES, '-inf', int(line.now - FAILURE_MILLIS))
  if call('ZADD', FAILURES, 'NX', int(line.now), report) == 0 then return end
  slot.committing = math.max(0, slot.committing - 1)
  if slot.committed == 1 or slot.committing > 0 or not is_live(number) then
    set_slot(slot)
    return
  end
  remove_slot(slot)
  if slot.source == 'line' then
    if not is_doubtful(number) then answer(number, false) end
  else
    -- Whoever went straight through has no token: the number has no holder any more.
    call('ZADD', LEFT, int(number), int(number))
  end
end

local function leave()
  if get_slot(number) or number > line.given or call('ZCARD', LEFT) >= LEFT_MAX
    or call('ZADD', LEFT, 'NX', int(number), int(number)) == 0 or is_doubtful(number) then
    return
  end
  if number <= line.now_serving then
    answer(number, true)
  elseif number <= line.proposed then
    line.pending = math.max(0, line.pending - 1)
  end
end

local slot = what ~= 'left' and get_slot(number)
if what == 'left' then
  leave()
elseif slot and what == 'committed' then
  slot.committed = 1
  slot.committing = math.max(0, slot.committing - 1)
  set_slot(slot)
elseif slot and what == 'failed' then
  failed(slot)
elseif slot and what == 'ended' and slot.committed == 1 and is_live(number) then
  call('ZREM', ENDS, int(number))
  forget_account(slot)
  line.early_ends = line.early_ends + 1
  if line.early_ends >= EARLY_ENDS_MEMORY then
    line.early_ends = math.floor(line.early_ends / 2)
    line.slot_millis = math.floor(line.slot_millis / 2)
  end
end
keep_line()
return { 1 }
