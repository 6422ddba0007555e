-- Written in Lua though it is rare: it opens and closes windows over all calls, which code outside
-- the server could only do by reading them all.
--
-- Applies settings unless the copy has newer ones. ARGV: revision, 1 if they are recorded, state,
-- rate, capacity, claim window, return and session seconds.
if not open_line() then return { 0 } end
advance()
local revision, recorded, state = tonumber(ARGV[3]), ARGV[4] == '1', ARGV[5]
local rate, capacity = tonumber(ARGV[6]), tonumber(ARGV[7])
if revision >= line.revision then
  if not recorded and revision == line.revision then
    -- Beside others on their way into the record they only forbid.
    if state ~= 'open' then line.state = state end
    line.rate_per_minute = math.min(line.rate_per_minute, rate)
    line.capacity = math.min(line.capacity, capacity)
  else
    line.revision = revision
    line.state = state
    line.rate_per_minute = rate
    line.capacity = capacity
    line.claim_window_seconds = tonumber(ARGV[8])
    line.return_seconds = tonumber(ARGV[9])
    line.session_seconds = tonumber(ARGV[10])
  end
  local most = burst(line.rate_per_minute)
  line.rate_units = math.min(line.rate_units, most)
  line.budget_units = math.min(line.budget_units, most)
  rewindow()
  advance_calls()
end
keep_line()
return { 1, line.now }
