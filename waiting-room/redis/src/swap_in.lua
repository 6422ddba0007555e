-- Makes what the caller loaded the copy of its generation, whole and at once, unless there is one
-- as new. ARGV: triples of a key's place, how many arguments follow, and those: names with values,
-- or scores with members, as the pure core made them (`line/image.rs`).
local TEXTS = { state = true, leases = true }
local id, generation = run_id(), tonumber(ARGV[1])
local packed = call('GET', LINE)
line = packed and cmsgpack.unpack(packed)
if line and line.run_id == id and line.generation >= generation then return { 1 } end
call('UNLINK', unpack(KEYS))
line = { generation = generation, run_id = id, now = server_millis() }
local at = 3
while at < #ARGV do
  local key, count = KEYS[tonumber(ARGV[at])], tonumber(ARGV[at + 1])
  local last = at + 1 + count
  if key == LINE then
    for i = at + 2, last, 2 do
      line[ARGV[i]] = TEXTS[ARGV[i]] and ARGV[i + 1] or tonumber(ARGV[i + 1])
    end
  else
    local hash = key == SLOTS or key == ACCOUNTS or key == CALL
    for from = at + 2, last, ARGUMENTS_MAX do
      call(hash and 'HSET' or 'ZADD', key, unpack(ARGV, from, math.min(from + ARGUMENTS_MAX - 1, last)))
    end
  end
  at = last + 1
end
call('ZREMRANGEBYSCORE', ENDS, '-inf', int(line.now))
forget_slots()
keep_line()
return { 1 }
