-- Lose: a copy of an older generation is gone from now on, and no older one is swapped in.
-- KEYS: the five of the copy. ARGV: 1 the generation.
local generation, least = unpack(redis.call('HMGET', KEYS[1], 'g', 'm'))
if (generation and generation + 0 >= ARGV[1] + 0) or (least and least + 0 >= ARGV[1] + 0) then
  return 0
end
redis.call('UNLINK', unpack(KEYS))
redis.call('HSET', KEYS[1], 'm', ARGV[1])
return 1
