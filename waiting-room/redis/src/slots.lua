-- Slots: who is in the shop, until when, and who was.

local function get_slot(number)
  local text = call('HGET', SLOTS, int(number))
  if not text then return nil end
  local at, till, source, committed, committing, request, account = string.match(text,
    '^(%-?%d+) (%-?%d+) (%S+) (%d) (%d+) (%S+) (%S+)$')
  return { number = number, at = tonumber(at), till = tonumber(till), source = source,
    committed = tonumber(committed), committing = tonumber(committing), request = request,
    account = account }
end

local function set_slot(slot)
  local text = table.concat({ int(slot.at), int(slot.till), slot.source, int(slot.committed),
    int(slot.committing), slot.request, slot.account }, ' ')
  call('HSET', SLOTS, int(slot.number), text)
end

local function is_live(number)
  local till = call('ZSCORE', ENDS, int(number))
  return till and tonumber(till) > line.now or false
end

-- Long over, and perhaps not dropped yet.
local function is_forgotten(slot)
  return not is_live(slot.number) and slot.till + REMEMBERED_MILLIS <= line.now
end

-- The live slot of an account.
local function of_account(account)
  local number = call('HGET', ACCOUNTS, account)
  if not number or not is_live(tonumber(number)) then return nil end
  local slot = get_slot(tonumber(number))
  return slot and slot.account == account and slot or nil
end

local function insert_slot(slot)
  local number = int(slot.number)
  set_slot(slot)
  call('ZADD', ENDS, int(slot.till), number)
  call('ZADD', KEPT, int(slot.till), number)
  call('HSET', ACCOUNTS, slot.account, number)
  if slot.number > line.now_serving then call('ZADD', AHEAD, number, number) end
end

local function forget_account(slot)
  if call('HGET', ACCOUNTS, slot.account) == int(slot.number) then
    call('HDEL', ACCOUNTS, slot.account)
  end
end

local function remove_slot(slot)
  local number = int(slot.number)
  forget_account(slot)
  call('HDEL', SLOTS, number)
  call('ZREM', ENDS, number)
  call('ZREM', KEPT, number)
  call('ZREM', AHEAD, number)
end

-- Drops what is long over, some at a time.
local function forget_slots()
  local due = call('ZRANGEBYSCORE', KEPT, '-inf', int(line.now - REMEMBERED_MILLIS),
    'LIMIT', 0, FORGET_MAX)
  for _, number in ipairs(due) do remove_slot(get_slot(tonumber(number))) end
end

-- For how many milliseconds up to `now` claims could be granted. Room comes only from slots that
-- end, so while the shop is full the first one that ends below the capacity says from when.
local function granting_until(now)
  if line.state ~= 'open' or line.rate_per_minute == 0 then return 0 end
  local over = active() - line.capacity
  if over < 0 then return now - line.now end
  local freed = call('ZRANGE', ENDS, int(over), int(over), 'WITHSCORES')[2]
  return freed and math.max(0, now - math.max(tonumber(freed), line.now)) or 0
end

-- For how many milliseconds up to `now` slots were in use, all together.
local function slot_millis_until(now)
  local millis = call('ZCOUNT', ENDS, '(' .. int(now), '+inf') * (now - line.now)
  local over = call('ZRANGEBYSCORE', ENDS, '(' .. int(line.now), int(now), 'WITHSCORES')
  for i = 2, #over, 2 do millis = millis + tonumber(over[i]) - line.now end
  return millis
end

-- Lets time pass: `Line::advance`. Time never runs backwards. Whoever only looks drops nothing of
-- what is over, and keeps nothing of what is counted.
local function advance(only_looks)
  local now = math.max(server_millis(), line.now)
  if now > line.now then
    line.slot_millis = line.slot_millis + slot_millis_until(now)
    line.granting_millis = line.granting_millis + granting_until(now)
    local grown = (now - line.now) * line.rate_per_minute
    local most = burst(line.rate_per_minute)
    line.rate_units = math.min(line.rate_units + grown, most)
    line.budget_units = math.min(line.budget_units + grown, most)
    line.now = now
    if not only_looks then
      call('ZREMRANGEBYSCORE', ENDS, '-inf', int(now))
      call('ZREMRANGEBYSCORE', RETRYING, '-inf', int(now))
      forget_slots()
    end
    advance_calls(only_looks)
  end
end
