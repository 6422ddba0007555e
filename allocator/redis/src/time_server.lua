-- The time is the server's own.
local now = redis.call('TIME')
now = now[1] * 1000 + math.floor(now[2] / 1000)
