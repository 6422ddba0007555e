-- Release: a hold ends by its holder. ARGV: 3 hold, 4 account.
-- Answers {0 not found, 1 released, 2 not the holder, 3 being paid; what expired}.
local lib = copy()
if not lib.begin(32) then return -1 end
local record, answer = lib.hold(ARGV[3]), 0
if record and lib.is_live(record) then
  if record.account ~= ARGV[4] then
    answer = 2
  elseif record.state == 'p' then
    answer = 3
  else
    lib.take(record)
    if lib.is_remembered(record) then lib.put_over(record, '') else lib.forget(record) end
    answer = 1
  end
end
lib.flush()
return {answer, table.concat(lib.late, ' ')}
