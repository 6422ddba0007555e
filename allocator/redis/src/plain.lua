-- The usual end of a hold, many at a time: a hold that was never tried to be paid, side by side, of
-- somebody who has nothing else. It does what copy() would, but takes no record apart and writes
-- none: when a sale's first holds run out, this is what everybody else waits for.
--
-- Numbers become text once: Lua writes each as a float, which costs as much as a call of Redis.

-- Account, until, no attempts, held, first place and how many, keys of lock; then keys of book,
-- prices, slot, and no command.
local PLAIN = '^([^\n]*)\n(%d+)\n0\nh\n(%d+):(%d+)\n([^\n]*)\n[^\n]*\n[^\n]*\n[^\n]*\n$'

-- Ends plain ones among the first `max` holds that are due, and writes at once: before `lib` has
-- read any of it. Returns how many.
local function finish_plain(lib, max)
  if lib.get('x') then return 0 end
  local due = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now, 'LIMIT', 0, max)
  -- Of those that may be plain, side by side: a table for each would cost as much again.
  local names, ids, tills, froms, counts, keys, accounts = {}, {}, {}, {}, {}, {}, {}
  for i = 1, #due do names[i] = 'h' .. due[i] end
  local raws = read_fields(names, {}, 1)
  for i = 1, #due do
    local account, till, from, count, locks = string.match(raws[i] or '', PLAIN)
    if account then
      local at = #ids + 1
      ids[at], accounts[at], keys[at] = due[i], 'a' .. account, locks
      tills[at], froms[at], counts[at] = till, from, count
    end
  end
  local entries = read_fields(accounts, {}, 1)
  local texts = {}
  local function text(number)
    texts[number] = texts[number] or number .. ''
    return texts[number]
  end
  local soon, later = text(now + OVER_MS), text(now + ARGV[2])
  local held, ends, remove, freed = {}, {}, {}, 0
  local run_from, run_to = 0, 0
  local function free_run()
    if run_to > run_from then
      redis.call('SETRANGE', KEYS[2], run_from, string.rep('.', run_to - run_from))
    end
  end
  for i = 1, #ids do
    local id, from, count = ids[i], froms[i], counts[i]
    if entries[i] == count .. ' ' .. id then
      held[#held + 1] = id
      ends[#ends + 1] = keys[i] == '' and soon or later
      ends[#ends + 1] = id
      remove[#remove + 1] = accounts[i]
      remove[#remove + 1] = 'o' .. from
      local first, places = from + 0, count + 0
      for place = first + 1, first + places - 1 do remove[#remove + 1] = 'o' .. place end
      if first ~= run_to then
        free_run()
        run_from = first
      end
      run_to, freed = first + places, freed + places
      lib.late[#lib.late + 1] = text(now - tills[i])
    end
  end
  free_run()
  if #held == #due and #due > 0 then
    -- All of them: a range goes faster than one after the other.
    redis.call('ZREMRANGEBYRANK', KEYS[3], 0, #due - 1)
  else
    batches('ZREM', KEYS[3], held)
  end
  batches('ZADD', KEYS[4], ends)
  batches('HDEL', KEYS[1], remove)
  if freed > 0 then
    lib.put('c', lib.get('c') + freed)
    lib.put('q', false)
  end
  lib.ended = lib.ended + #held
  return #held
end
