-- Applies settings unless the copy has newer ones. ARGV: revision, state, rate, capacity, claim
-- window, return and session seconds.
if not open_line() then return { 0 } end
advance()
if tonumber(ARGV[3]) >= line.revision then
  line.revision = tonumber(ARGV[3])
  line.state = ARGV[4]
  line.rate_per_minute = tonumber(ARGV[5])
  line.capacity = tonumber(ARGV[6])
  line.claim_window_seconds = tonumber(ARGV[7])
  line.return_seconds = tonumber(ARGV[8])
  line.session_seconds = tonumber(ARGV[9])
  local most = burst(line.rate_per_minute)
  line.rate_units = math.min(line.rate_units, most)
  line.budget_units = math.min(line.budget_units, most)
  rewindow()
  advance_calls()
end
keep_line()
return { 1, line.now }
