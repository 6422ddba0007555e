-- Calls everyone up to a step that is committed. ARGV: now_serving.
if not open_line() then return { 0 } end
advance()
local upto = math.min(tonumber(ARGV[3]), line.given)
if upto > line.now_serving then
  local called, answered = called_in(line.now_serving, upto)
  add_call(upto, called, answered)
  line.now_serving = upto
  call('ZREMRANGEBYSCORE', AHEAD, '-inf', int(upto))
  -- Given-up places that would be missed by now need not be remembered.
  call('ZREMRANGEBYSCORE', LEFT, '-inf', int(line.missed_to))
  line.proposed = math.max(line.proposed, upto)
  called, answered = called_in(upto, line.proposed)
  line.pending = called - answered
end
keep_line()
return { 1 }
