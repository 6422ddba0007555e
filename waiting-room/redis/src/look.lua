-- The queue as a whole, and where a number stands; nothing is written. ARGV: the number, or '' for
-- none.
if not open_line() then return { 0 } end
advance(true)
local head_age = 0
if line.now_serving < line.given then
  local last = line.call_first < line.call_next and get_call(line.call_next - 1).at or 0
  head_age = math.max(0, line.granting_millis - last)
end
local looked = { 1, line.state, line.rate_per_minute, line.capacity, line.claim_window_seconds,
  line.return_seconds, line.session_seconds, line.revision, line.given, line.now_serving, active(),
  line.outstanding + line.pending + call('ZCOUNT', RETRYING, '(' .. int(line.now), '+inf'), showing_permille(),
  call('ZCOUNT', LEFT, '(' .. int(line.now_serving), '+inf'),
  ARGV[3] ~= '' and call('ZCOUNT', LEFT, '(' .. int(line.now_serving), '(' .. ARGV[3]) or 0,
  line.early_ends, line.slot_millis }
local over = call('ZCOUNT', ENDS, '-inf', int(line.now))
for nth = 0, ENDS_SHOWN - 1 do
  local end_ms
  if ARGV[3] == '' and active() > 0 then
    local rank = int(over + math.floor((active() - 1) * nth / (ENDS_SHOWN - 1)))
    end_ms = tonumber(call('ZRANGE', ENDS, rank, rank, 'WITHSCORES')[2])
  end
  looked[#looked + 1] = end_ms or 0
end
looked[#looked + 1] = head_age
if ARGV[3] ~= '' then
  local stands, left, slot = place(tonumber(ARGV[3]))
  looked[#looked + 1] = stands
  looked[#looked + 1] = left
  if stands == 'admitted' then
    for _, value in ipairs({ slot.account, slot.at, slot.till, slot.committed }) do
      looked[#looked + 1] = value
    end
  end
end
return looked
