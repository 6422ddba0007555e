-- One event's copy, as every script but the quick way of `lock` works on it: the same words as in
-- event_seats.rs, which say what each of them is for. Everything is read when it is first needed,
-- and written by flush() at the end.
--
-- KEYS: 1 fields (a hash), 2 the packed string, 3 ends of what is held, 4 ends of what is over,
-- 5 deadlines of what is being paid. ARGV: 1 the generation, 2 how long a key is kept.
--
-- Fields: g generation, n time of the last change, d nothing ends before, c changes, q where a
-- search begins, x some hold may not own all its places, a<account> "seats hold hold", h<hold>
-- record, o<place> hold or $booking account, k<account> <key> hold of a lock, b<account> <key> hold
-- of a book. A hold is named by its short id. A place is its offset in the string, in which rows
-- are set apart by "|".
--
-- A record has a line each for: account, until, attempts, state, places, keys of lock, keys of
-- book, prices, slot; the rest is the command. One that ended the plain way still says that it is
-- held: among the ends of what is over it is over, whatever it says.
local function copy()
  local call = redis.call
  local fields, dirty, records, accounts, cells, homes = {}, {}, {}, {}, {}, {}
  local ZSETS = {h = KEYS[3], o = KEYS[4], p = KEYS[5]}
  local RECORD = '^' .. string.rep('([^\n]*)\n', 9) .. '(.*)$'
  local lib = {late = {}, ended = 0, more = false}
  local swept = false

  local function get(name)
    local value = fields[name]
    if value == nil then
      value = call('HGET', KEYS[1], name)
      fields[name] = value
    end
    return value
  end

  -- Sets a field; false removes it.
  local function put(name, value)
    fields[name] = value
    dirty[name] = true
  end

  -- Reads many fields at once, ahead of their use.
  local function want(names)
    local values = read_fields(names, {}, 1)
    for i = 1, #names do fields[names[i]] = values[i] end
  end

  -- The account's entry: how many seats, and its live holds, each after a blank.
  local function account_of(name)
    local account = accounts[name]
    if not account then
      local seats, holds = string.match(get('a' .. name) or '0', '^(%d+)(.*)$')
      account = {seats = seats + 0, holds = holds}
      accounts[name] = account
    end
    return account
  end

  local function places_of(record)
    if not record.places then
      local places = {}
      for from, count in string.gmatch(record.segments, '(%d+):(%d+)') do
        for place = from + 0, from + count - 1 do places[#places + 1] = place end
      end
      record.places = places
    end
    return record.places
  end

  local function is_live(record) return record.state ~= 'o' end

  local function is_remembered(record) return record.locks ~= '' or record.attempts > 0 end

  local function parse(id, raw)
    local record, state = {id = id}, nil
    record.account, record.till, record.attempts, state, record.segments, record.locks,
      record.books, record.prices, record.slot, record.command = string.match(raw, RECORD)
    record.till, record.attempts = record.till + 0, record.attempts + 0
    record.state = string.sub(state, 1, 1)
    if record.state == 'p' then
      record.resend, record.shared, record.booking = string.match(state, '^p (%d+) (%d) (.*)$')
      record.resend = record.resend + 0
    elseif record.state == 'o' then
      record.forget, record.bought = string.match(state, '^o (%d+) (.*)$')
      record.forget = record.forget + 0
    end
    return record
  end

  local function read(id)
    local record = records[id]
    if record == nil then
      local raw = get('h' .. id)
      record = raw and parse(id, raw)
      if record and record.state == 'h' and record.till <= now then
        local forget = call('ZSCORE', KEYS[4], id)
        if forget then record.state, record.forget, record.bought = 'o', forget + 0, '' end
      end
      records[id] = record
    end
    return record
  end

  local function written(record)
    local state = record.state
    if state == 'p' then
      state = 'p ' .. record.resend .. ' ' .. record.shared .. ' ' .. record.booking
    elseif state == 'o' then
      state = 'o ' .. record.forget .. ' ' .. record.bought
    end
    return table.concat({record.account, record.till, record.attempts, state, record.segments,
      record.locks, record.books, record.prices, record.slot, record.command}, '\n')
  end

  -- Where a record waits for its time, if it does.
  local function home_of(record)
    if record.state == 'h' then return 'h', record.till end
    if record.state == 'p' then return 'p', record.resend end
    if record.locks == '' or record.attempts == 0 then return 'o', record.forget end
    return false, 0
  end

  local function set_cell(place, letter, before)
    local cell = cells[place]
    if not cell then
      cell = {before = before}
      cells[place] = cell
    end
    cell.letter = letter
  end

  local function occupy(place, owner, letter, name)
    put('o' .. place, owner)
    set_cell(place, letter, '.')
    local account = account_of(name)
    account.seats, account.changed = account.seats + 1, true
  end

  local function vacate(place, letter, name)
    put('o' .. place, false)
    set_cell(place, '.', letter)
    local account = account_of(name)
    account.seats, account.changed = math.max(0, account.seats - 1), true
    put('q', false)
  end

  local function take(record)
    local id = record.id
    if not homes[id] then
      local was, score = home_of(record)
      homes[id] = {was = was, before = score}
    end
    if is_live(record) then
      for _, place in ipairs(places_of(record)) do
        if get('o' .. place) == id then vacate(place, record.state, record.account) end
      end
      local account = account_of(record.account)
      local from, to = string.find(account.holds .. ' ', ' ' .. id .. ' ', 1, true)
      if from then
        account.holds = string.sub(account.holds, 1, from - 1) .. string.sub(account.holds, to)
        account.changed = true
      end
    end
  end

  local function put_back(record)
    local id = record.id
    homes[id] = homes[id] or {was = false, before = 0}
    homes[id].is, homes[id].score = home_of(record)
    if is_live(record) then
      for _, place in ipairs(places_of(record)) do
        if not get('o' .. place) then
          occupy(place, id, record.state, record.account)
        elseif record.state == 'h' then
          put('x', '1')
        end
      end
      local account = account_of(record.account)
      account.holds, account.changed = account.holds .. ' ' .. id, true
    end
    records[id] = record
    put('h' .. id, written(record))
  end

  -- The record is over: its places are no longer its own. It must have been taken.
  local function put_over(record, bought)
    record.state, record.bought, record.command = 'o', bought, ''
    record.forget = now + (is_remembered(record) and ARGV[2] or OVER_MS)
    put_back(record)
  end

  -- Forgets a record that was taken.
  local function forget(record)
    for key in string.gmatch(record.locks, '%x+:(%S+)') do
      put('k' .. record.account .. ' ' .. key, false)
    end
    for key in string.gmatch(record.books, '%d+:%x+:(%S+)') do
      local field = 'b' .. record.account .. ' ' .. key
      if get(field) == record.id then put(field, false) end
    end
    homes[record.id].is = false
    records[record.id] = false
    put('h' .. record.id, false)
  end

  -- Ends a record whose time has come.
  local function finish(record)
    take(record)
    lib.ended = lib.ended + 1
    if record.state == 'h' then
      lib.late[#lib.late + 1] = now - record.till
      put_over(record, '')
    else
      forget(record)
    end
  end

  local function finish_first(zset, max)
    local ids = call('ZRANGEBYSCORE', zset, '-inf', now, 'LIMIT', 0, max)
    local names = {}
    for i, id in ipairs(ids) do names[i] = 'h' .. id end
    want(names)
    names = {}
    for _, id in ipairs(ids) do
      local record = read(id)
      if record and record.state == 'h' then
        for _, place in ipairs(places_of(record)) do names[#names + 1] = 'o' .. place end
        names[#names + 1] = 'a' .. record.account
      end
    end
    want(names)
    for _, id in ipairs(ids) do
      local record = read(id)
      if record then finish(record) else call('ZREM', zset, id) end
    end
    return #ids
  end

  -- Ends up to `max` records that are due.
  local function free(max)
    if now < get('d') + 0 then return end
    swept = true
    local left = max - finish_first(KEYS[3], max)
    if left > 0 then left = left - finish_first(KEYS[4], left) end
    lib.more = left <= 0
  end

  -- The record, as it is by now: also when there was more to free than free() did.
  local function hold(id)
    local record = read(id)
    if record and record.state == 'h' and record.till <= now then
      finish(record)
    elseif record and record.state == 'o' and record.forget <= now and home_of(record) then
      finish(record)
      return false
    end
    return record
  end

  local function flush_homes()
    local add, remove = {h = {}, o = {}, p = {}}, {h = {}, o = {}, p = {}}
    local due = get('d') + 0
    for id, home in pairs(homes) do
      if home.is ~= home.was or (home.is and home.score ~= home.before) then
        if home.was and home.was ~= home.is then table.insert(remove[home.was], id) end
        if home.is then
          table.insert(add[home.is], home.score)
          table.insert(add[home.is], id)
          if home.is ~= 'p' then due = math.min(due, home.score) end
        end
      end
    end
    for letter, zset in pairs(ZSETS) do
      batches('ZREM', zset, remove[letter])
      batches('ZADD', zset, add[letter])
    end
    if swept then
      due = NEVER_MS
      for zset = 3, 4 do
        local first = call('ZRANGE', KEYS[zset], 0, 0, 'WITHSCORES')
        if first[2] then due = math.min(due, first[2] + 0) end
      end
    end
    if due ~= get('d') + 0 then put('d', due) end
  end

  -- Writes the letters that changed, side by side in one go; returns how many.
  local function flush_cells()
    local changed = {}
    for place, cell in pairs(cells) do
      if cell.letter ~= cell.before then changed[#changed + 1] = place end
    end
    table.sort(changed)
    local at = 1
    while at <= #changed do
      local from, letters = changed[at], {}
      while changed[at] == from + #letters do
        letters[#letters + 1] = cells[changed[at]].letter
        at = at + 1
      end
      call('SETRANGE', KEYS[2], from, table.concat(letters))
    end
    return #changed
  end

  local function flush()
    flush_homes()
    local changed = flush_cells()
    if changed > 0 then put('c', get('c') + changed) end
    for name, account in pairs(accounts) do
      if account.changed then
        local empty = account.seats == 0 and account.holds == ''
        put('a' .. name, not empty and account.seats .. account.holds)
      end
    end
    local set, remove = {}, {}
    for name in pairs(dirty) do
      local value = fields[name]
      if value then
        set[#set + 1] = name
        set[#set + 1] = value
      else
        remove[#remove + 1] = name
      end
    end
    if #set > 0 or #remove > 0 then
      set[#set + 1] = 'n'
      set[#set + 1] = now
      batches('HSET', KEYS[1], set)
      batches('HDEL', KEYS[1], remove)
    end
    dirty, cells, homes, accounts, swept = {}, {}, {}, {}, false
  end

  -- A field as a decision reads it: a record says itself whether it is over.
  local function seen(name)
    if string.sub(name, 1, 1) ~= 'h' then return get(name) or '' end
    local record = read(string.sub(name, 2))
    return record and written(record) or ''
  end

  -- Checks the generation, keeps time from running backwards, and frees what is due.
  local function begin(max)
    want({'g', 'n', 'd', 'c'})
    if fields.g ~= ARGV[1] then return false end
    now = math.max(now, fields.n + 0)
    free(max)
    return true
  end

  lib.get, lib.put, lib.read, lib.written, lib.hold = get, put, read, written, hold
  lib.places_of, lib.account_of, lib.is_live = places_of, account_of, is_live
  lib.take, lib.put_back = take, put_back
  lib.begin, lib.free, lib.flush = begin, free, flush
  lib.want, lib.seen = want, seen
  return lib
end
