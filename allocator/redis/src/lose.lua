-- Lose: a copy with an older mark is gone from now on, and none with an older mark is swapped in.
-- KEYS: the five of the copy. ARGV: 1 the mark.
local mark, least = unpack(redis.call('HMGET', KEYS[1], 'g', 'm'))
if (mark and mark + 0 >= ARGV[1] + 0) or (least and least + 0 >= ARGV[1] + 0) then return 0 end
redis.call('UNLINK', unpack(KEYS))
redis.call('HSET', KEYS[1], 'm', ARGV[1])
return 1
