-- Who was called when, on the clock of the time in which claims could be granted.

local function get_call(id)
  local text = call('HGET', CALL, int(id))
  local upto, at, called, answered = string.match(text, '(%d+) (%-?%d+) (%d+) (%d+)')
  return { id = id, upto = tonumber(upto), at = tonumber(at),
    called = tonumber(called), answered = tonumber(answered) }
end

local function set_call(one)
  local text = int(one.upto) .. ' ' .. int(one.at) .. ' ' .. int(one.called) .. ' '
    .. int(one.answered)
  call('HSET', CALL, int(one.id), text)
end

local function add_call(upto, called, answered)
  local at = math.ceil(line.granting_millis / RESOLUTION_MILLIS) * RESOLUTION_MILLIS
  line.outstanding = line.outstanding + called - answered
  if line.call_open < line.call_next then
    local last = get_call(line.call_next - 1)
    if last.at >= at then
      last.upto = upto
      last.called = last.called + called
      last.answered = last.answered + answered
      set_call(last)
      call('ZADD', CALLS, int(upto), int(last.id))
      return
    end
  end
  set_call({ id = line.call_next, upto = upto, at = at, called = called, answered = answered })
  call('ZADD', CALLS, int(upto), int(line.call_next))
  line.call_next = line.call_next + 1
end

-- Closes the windows that have passed. Each call is closed once and dropped once.
local function advance_calls(only_looks)
  while line.call_open < line.call_next do
    local one = get_call(line.call_open)
    if one.at + claim_millis() > line.granting_millis then break end
    line.outstanding = line.outstanding - (one.called - one.answered)
    line.seen_called = line.seen_called + one.called
    line.seen_answered = line.seen_answered + one.answered
    while line.seen_called > MEMORY do
      line.seen_called = math.floor(line.seen_called / 2)
      line.seen_answered = math.floor(line.seen_answered / 2)
    end
    line.call_open = line.call_open + 1
  end
  while line.call_first < line.call_open do
    local one = get_call(line.call_first)
    if one.at + claim_millis() + back_millis() > line.granting_millis then break end
    line.missed_to = one.upto
    if not only_looks then
      call('HDEL', CALL, int(one.id))
      call('ZREM', CALLS, int(one.id))
    end
    line.call_first = line.call_first + 1
  end
end

-- Counts again after the windows changed: a search by halves, then the calls in the window.
local function rewindow()
  local low, high = line.call_first, line.call_next
  while low < high do
    local middle = math.floor((low + high) / 2)
    if get_call(middle).at + claim_millis() <= line.granting_millis then
      low = middle + 1
    else
      high = middle
    end
  end
  line.call_open = low
  line.outstanding = 0
  for id = low, line.call_next - 1 do
    local one = get_call(id)
    line.outstanding = line.outstanding + one.called - one.answered
  end
end

-- The call that called `number`; nil when that is too long ago.
local function called(number)
  if number <= line.missed_to then return nil end
  local id = call('ZRANGEBYSCORE', CALLS, int(number), '+inf', 'LIMIT', 0, 1)[1]
  return id and get_call(tonumber(id))
end

local function answer(number, answered)
  local one = called(number)
  if not one then return end
  local open = one.id >= line.call_open and 1 or 0
  if answered and one.answered < one.called then
    one.answered = one.answered + 1
    line.outstanding = line.outstanding - open
    -- Whoever comes late did come.
    line.seen_answered = math.min(line.seen_answered + 1 - open, line.seen_called)
  elseif not answered and one.answered > 0 then
    one.answered = one.answered - 1
    line.outstanding = line.outstanding + open
    line.seen_answered = math.max(0, line.seen_answered - 1 + open)
  else
    return
  end
  set_call(one)
end

-- The last number of the calls whose windows have passed.
local function closed_to()
  if line.call_open > line.call_first then return get_call(line.call_open - 1).upto end
  return line.missed_to
end

local function showing_permille()
  local permille = math.floor((line.seen_answered + PRIOR) * 1000 / (line.seen_called + PRIOR))
  return math.max(SHOWING_MIN, math.min(1000, permille))
end
