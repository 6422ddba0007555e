-- Calls of Redis with any number of words: no more at once than Lua can unpack.
local function batches(command, key, list)
  for first = 1, #list, BATCH do
    redis.call(command, key, unpack(list, first, math.min(first + BATCH - 1, #list)))
  end
end

-- The values of the fields named from `from` on, into `values` at the same places.
local function read_fields(names, values, from)
  for first = from, #names, BATCH do
    local last = math.min(first + BATCH - 1, #names)
    local batch = redis.call('HMGET', KEYS[1], unpack(names, first, last))
    for i = 1, #batch do values[first + i - 1] = batch[i] end
  end
  return values
end
