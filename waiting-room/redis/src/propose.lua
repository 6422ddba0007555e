-- Proposes the next step; one whose commit failed is proposed again.
if not open_line() then return { 0 } end
advance()
local step
if line.state == 'open' and line.rate_per_minute > 0 then
  step_to(step_from(line.proposed, callable()))
  if line.proposed > line.now_serving then step = step_at(line.proposed) end
end
keep_line()
return with_step({ 1 }, step)
