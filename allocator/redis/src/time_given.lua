-- For tests only: the time is what the caller says.
local now = ARGV[#ARGV] + 0
