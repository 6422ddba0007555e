-- Numbers: which are leased, which were given, and which may have no holder.

local function leases()
  local list = {}
  for first, last in string.gmatch(line.leases, '(%d+)-(%d+)') do
    list[#list + 1] = { tonumber(first), tonumber(last) }
  end
  return list
end

local function set_leases(list)
  local texts = {}
  for i, lease in ipairs(list) do texts[i] = int(lease[1]) .. '-' .. int(lease[2]) end
  line.leases = table.concat(texts, ',')
end

local function leased_left()
  local left = 0
  for _, lease in ipairs(leases()) do left = left + lease[2] - lease[1] + 1 end
  return left
end

local function add_lease(first, last)
  first = math.max(first, line.given + 1)
  local list = leases()
  if first > last then return end
  local at = #list + 1
  for i, lease in ipairs(list) do
    if lease[1] <= last and first <= lease[2] then return end
    if lease[1] >= first and at > i then at = i end
  end
  table.insert(list, at, { first, last })
  set_leases(list)
end

-- Gives up to `count` numbers in a row: the first one and how many.
local function give_numbers(count)
  local list = leases()
  local lease = list[1]
  if not lease then return line.given + 1, 0 end
  local first = lease[1]
  count = math.min(count, lease[2] - first + 1)
  if count == 0 then return first, 0 end
  if first > line.given + 1 then
    call('ZADD', DOUBTFUL, int(first - 1), int(line.given + 1))
  end
  lease[1] = first + count
  line.given = lease[1] - 1
  if lease[1] > lease[2] then table.remove(list, 1) end
  set_leases(list)
  return first, count
end

-- The doubtful ranges that end above `number`, one at a time, fetched a few at a time.
local function ranges_above(number)
  local batch, at = {}, 1
  return function()
    if not batch[at] then
      batch = call('ZRANGEBYSCORE', DOUBTFUL, '(' .. int(number), '+inf', 'WITHSCORES',
        'LIMIT', 0, 8)
      at = 1
      if not batch[1] then return nil end
    end
    local first, last = tonumber(batch[at]), tonumber(batch[at + 1])
    at = at + 2
    number = last
    return first, last
  end
end

local function is_doubtful(number)
  local first = ranges_above(number - 1)()
  return first ~= nil and first <= number
end

-- How many of `after + 1..upto` surely have a holder, and how many of those are in each of the
-- given sets of numbers.
local function certain_in(after, upto, ...)
  if upto <= after then return 0, 0 end
  local sets = { ... }
  local certain, among = upto - after, 0
  for _, set in ipairs(sets) do
    among = among + call('ZCOUNT', set, '(' .. int(after), int(upto))
  end
  for first, last in ranges_above(after) do
    if first > upto then break end
    local from, to = math.max(first, after + 1), math.min(last, upto)
    certain = certain - (to - from + 1)
    if among > 0 then
      for _, set in ipairs(sets) do among = among - call('ZCOUNT', set, int(from), int(to)) end
    end
  end
  return certain, among
end

-- Where now_serving gets to from `from` by calling `count` holders.
local function step_from(from, count)
  local at = from
  for first, last in ranges_above(from) do
    local before = math.min(math.max(first - 1 - at, 0), count)
    at = at + before
    count = count - before
    if at + 1 < first then return at end
    at = last
  end
  return math.min(at + count, line.given)
end
