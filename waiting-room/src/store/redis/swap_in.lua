-- Makes what the caller loaded the copy of its generation, whole and at once, unless there is one
-- as new. ARGV: triples of a key's place, how many arguments follow, and those: fields or scores
-- with their members, as the pure core made them (`line/image.rs`).
local CHUNK = 4000
read_line()
local id = run_id()
if was.run_id == id and tonumber(was.generation) >= tonumber(ARGV[1]) then return { 1 } end
call('UNLINK', unpack(KEYS))
local at = 3
while at < #ARGV do
  local key, count = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  local hash = KEYS[key] == LINE or KEYS[key] == SLOTS or KEYS[key] == ACCOUNTS
    or KEYS[key] == CALL
  local last = at + 1 + count
  for from = at + 2, last, CHUNK do
    local to = math.min(from + CHUNK - 1, last)
    call(hash and 'HSET' or 'ZADD', KEYS[key], unpack(ARGV, from, to))
  end
  at = last + 1
end
line.now = server_millis()
call('HSET', LINE, 'generation', ARGV[1], 'run_id', id, 'now', int(line.now))
call('ZREMRANGEBYSCORE', ENDS, '-inf', int(line.now))
forget_slots()
return { 1 }
