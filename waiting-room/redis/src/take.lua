-- Takes a rate token and a slot, or says why not. ARGV: the account, its number or '' for none, 1 if
-- a new slot may be given, and an id of this request: sent again it commits no second time.
if not open_line() then return { 0 } end
advance()
local account, number, fresh, request = ARGV[3], tonumber(ARGV[4]), ARGV[5] == '1', ARGV[6]

-- The live slot, to be committed unless it is.
local function grant(slot)
  if slot.committed == 0 and slot.request ~= request then
    slot.committing = slot.committing + 1
    slot.request = request
    set_slot(slot)
  end
  local step = slot.number > line.now_serving and step_at(slot.number) or nil
  return with_step({ 1, 'granted', slot.number, slot.account, slot.at, slot.till, slot.source,
    slot.committed }, step)
end

local function give(given, source)
  -- Whole seconds, so that the slot ends exactly with the pass's `exp`.
  local till = math.floor((line.now + line.session_seconds * 1000) / 1000) * 1000
  local slot = { number = given, at = line.now, till = till, source = source, committed = 0,
    committing = 0, request = '-', account = account }
  insert_slot(slot)
  return grant(slot)
end

-- Why nobody at all could be granted a slot now.
local function refusal()
  if line.state ~= 'open' then return 'paused' end
  if active() >= line.capacity then return 'full' end
  if line.rate_units < TOKEN then return 'rate' end
  return nil
end

local function why_waiting()
  if line.state == 'pre_queue' or line.state == 'paused' then return 'paused' end
  return 'waiting'
end

-- Somebody late was refused: the next room is theirs, who were in line before the others.
local function prefer_retry(after)
  if call('ZCARD', RETRYING) < RETRY_PRIORITY_MAX or call('ZSCORE', RETRYING, int(number)) then
    local millis = after + math.floor(after / 4) + RETRY_PRIORITY_MILLIS
    call('ZADD', RETRYING, int(line.now + millis), int(number))
  end
end

local function claim()
  local slot = get_slot(number)
  if slot then
    if slot.account ~= account then return { 1, 'token_used' } end
    if not is_live(number) then return { 1, 'over' } end
    return grant(slot)
  end
  local live = of_account(account)
  if live then return grant(live) end
  if line.state == 'closed' then return { 1, 'closed' } end
  local stands, left_millis = place(number)
  if stands == 'waiting' then return { 1, why_waiting(), 0 } end
  if stands == 'missed' or stands == 'done' then return { 1, 'over' } end
  if not fresh then return { 1, 'waiting', 0 } end
  local certain = not is_doubtful(number)
  local kept = certain and stands == 'ready'
  local why = refusal() or (not kept and free_for_calls() == 0 and 'full') or nil
  if why then
    local after = ask_after(why, number, kept, kept and left_millis or claim_millis())
    if not kept then prefer_retry(after) end
    return { 1, why, after }
  end
  line.rate_units = line.rate_units - TOKEN
  -- Nobody paid for one whose room was not kept when the line was called.
  if not kept then line.budget_units = math.max(0, line.budget_units - TOKEN) end
  if certain then answer(number, true) end
  call('ZREM', RETRYING, int(number))
  return give(number, 'line')
end

local function walk_in()
  local live = of_account(account)
  if live then return grant(live) end
  if line.state == 'closed' then return { 1, 'closed' } end
  if not fresh or not nobody_waits() then return { 1, 'waiting', 0 } end
  local why = refusal()
  if why then return { 1, why, 0 } end
  if callable() == 0 then return { 1, 'waiting', 0 } end
  local first, given = give_numbers(1)
  if given == 0 then return { 1, 'no_numbers' } end
  line.rate_units = line.rate_units - TOKEN
  line.budget_units = math.max(0, line.budget_units - TOKEN)
  line.proposed = first
  return give(first, 'straight_through')
end

local taken
if number then taken = claim() else taken = walk_in() end
keep_line()
return taken
