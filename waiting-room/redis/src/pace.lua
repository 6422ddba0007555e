-- The pace: how many are called, and what a step is.

local function called_in(after, upto)
  local called, answered = certain_in(after, upto, AHEAD, LEFT)
  return called, math.min(called, answered)
end

local function nobody_waits()
  return step_from(line.proposed, 0) >= line.given
end

-- How many more could be called if only room counted.
local function free_for_calls()
  local free = math.max(0, line.capacity - active())
  local called = line.outstanding + line.pending
  return math.max(0, math.floor(free * 1000 / showing_permille()) - called)
end

-- What calling one holder costs: a token, less what no-shows leave.
local function call_price() return TOKEN / 1000 * showing_permille() end

-- How many more may be called: as rate and free slots can take, plus the no-shows measured.
local function callable()
  if line.state ~= 'open' then return 0 end
  local called = line.outstanding + line.pending
  local by_rate = math.floor(line.budget_units / call_price())
  local by_room = math.max(0, free_for_calls() - call('ZCARD', RETRYING))
  local window = claim_millis() * line.rate_per_minute
  local soon = math.floor((burst(line.rate_per_minute) + window) / TOKEN)
  local by_window = math.max(0, math.floor(soon * 1000 / showing_permille()) - called)
  return math.min(by_rate, by_room, by_window)
end

local function step_at(now_serving)
  return { now_serving = now_serving, at = line.now, granting_millis = line.granting_millis }
end

-- Proposes a step and pays for those it calls.
local function step_to(target)
  if target <= line.proposed then return nil end
  local called, answered = called_in(line.proposed, target)
  line.proposed = target
  line.pending = line.pending + called - answered
  line.budget_units = math.max(0, line.budget_units - (called - answered) * call_price())
  return step_at(target)
end

-- A step as the end of an answer.
local function with_step(answer, step)
  step = step or { now_serving = 0, at = 0, granting_millis = 0 }
  answer[#answer + 1] = step.now_serving
  answer[#answer + 1] = step.at
  answer[#answer + 1] = step.granting_millis
  return answer
end
