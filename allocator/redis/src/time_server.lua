-- The time is the server's own.
local now = redis.call('TIME')
now = now[1] * MILLI + math.floor(now[2] / MILLI)
