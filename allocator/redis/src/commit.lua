-- Commit: writes what a decision changed, if everything that it read is as it was: the one
-- compare-and-set of all decisions that are made in Rust. The fields that are compared hold all
-- that a decision reads; letters, sets, counters and the time of the last change follow from them.
-- ARGV: 3 how many letters change, 4 the earliest of the new ends; then lists, each after its
-- length: fields as they were read with their values, fields to set with their values, fields to
-- remove, letters by where they begin, and of each set ends with holds to add and holds to remove.
-- Answers {1 written, or 0 something is no longer as it was read; what expired}.
local at = 4
local function list(width)
  local words, length = {}, ARGV[at + 1] * width
  for i = 1, length do words[i] = ARGV[at + 1 + i] end
  at = at + 1 + length
  return words
end

local read, names = list(2), {'g', 'n', 'd', 'c'}
for i = 1, #read, 2 do names[#names + 1] = read[i] end
local values = read_fields(names, {}, 1)
if values[1] ~= ARGV[1] then return -1 end
now = math.max(now, values[2] + 0)
local due, changes, late = values[3], values[4], ''
local same = now < due + 0
for i = 2, #read, 2 do same = same and (values[4 + i / 2] or '') == read[i] end

if not same then
  -- Something is due or changed, or a hold that was read is over and its record does not say so.
  local lib = copy()
  lib.begin(FREED_MAX)
  lib.flush()
  lib.want(names)
  for i = 5, #names do
    if string.sub(names[i], 1, 1) == 'h' then lib.hold(string.sub(names[i], 2)) end
  end
  lib.flush()
  late = table.concat(lib.late, ' ')
  for i = 1, #read, 2 do
    if lib.seen(read[i]) ~= read[i + 1] then return {0, late} end
  end
  due, changes = lib.get('d'), lib.get('c')
end

local set = list(2)
local numbers = {'n', now, 'c', changes + ARGV[3], 'd', math.min(due, ARGV[4])}
for _, word in ipairs(numbers) do set[#set + 1] = word end
batches('HSET', KEYS[1], set)
batches('HDEL', KEYS[1], list(1))
local letters = list(2)
for i = 1, #letters, 2 do redis.call('SETRANGE', KEYS[2], letters[i], letters[i + 1]) end
for ends = 3, 5 do
  batches('ZADD', KEYS[ends], list(2))
  batches('ZREM', KEYS[ends], list(1))
end
return {1, late}
