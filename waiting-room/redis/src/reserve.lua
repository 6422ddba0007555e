-- Gives numbers to joins. ARGV: how many, a lease's first and last number or 0 0, 1 if some may be
-- called at once, the node, and the how-manieth of its reservations this is: one that is sent
-- again because the answer was lost gets the same numbers.
if not open_line() then return { 0 } end
advance()
local count, first_leased, last_leased = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local straight, node, request = ARGV[6] == '1', ARGV[7], ARGV[8]
if count > 0 then
  local last, text = string.match(call('HGET', RESERVATIONS, node) or '', '^(%d+):(.*)$')
  if last == request then
    keep_line()
    local again = { 1 }
    for n in string.gmatch(text, '%-?%d+') do again[#again + 1] = tonumber(n) end
    return again
  end
end
if last_leased > 0 then add_lease(first_leased, last_leased) end
local nobody = nobody_waits()
local first, given = give_numbers(count)
local step
if straight and nobody and given > 0 then
  step = step_to(step_from(line.proposed, math.min(callable(), given)))
end
local answer = with_step({ 1, first, given, leased_left(), line.now_serving }, step)
if count > 0 then
  local texts = {}
  for i = 2, #answer do texts[#texts + 1] = int(answer[i]) end
  if call('HLEN', RESERVATIONS) >= NODES_MAX then call('DEL', RESERVATIONS) end
  call('HSET', RESERVATIONS, node, request .. ':' .. table.concat(texts, ' '))
end
keep_line()
return answer
