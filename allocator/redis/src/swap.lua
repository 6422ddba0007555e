-- Swap: a copy that was built beside becomes the event's, unless what is there is as new.
-- KEYS: the five of the copy, then the five that were built. ARGV: 1 the generation, 2 how many
-- were built. Answers 1 swapped, 0 kept, 2 when what was built is not there (any more).
local generation, least = unpack(redis.call('HMGET', KEYS[1], 'g', 'm'))
local new = not (generation and generation + 0 >= ARGV[1] + 0)
  and not (least and least + 0 > ARGV[1] + 0)
if new and redis.call('EXISTS', unpack(KEYS, 6)) ~= ARGV[2] + 0 then return 2 end
if not new then
  redis.call('UNLINK', unpack(KEYS, 6))
  return 0
end
redis.call('UNLINK', unpack(KEYS, 1, 5))
for i = 1, 5 do
  if redis.call('EXISTS', KEYS[i + 5]) == 1 then
    redis.call('RENAME', KEYS[i + 5], KEYS[i])
    redis.call('PERSIST', KEYS[i])
  end
end
return 1
