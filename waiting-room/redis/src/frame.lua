-- The frame of every script on a queue's copy: its keys, its mark, its clock, its counters.
--
-- The scripts are the pure core of the queue (`line/*.rs`) over again; functions bear the names
-- they have there. Data is kept so that no script walks through the people of a queue: counters
-- in one string, and ordered sets for whatever is asked for by range, so that what is due is found
-- and what is over is dropped without looking at the rest. Numbers stay below 2^53. The bounds, in
-- capitals, stand before this file; `scripts.rs` writes them from where the core has them.

-- ARGV: the generation that the caller believes in, the time in milliseconds or '' for the
-- server's (only tests give one), then what the script itself takes.
local call = redis.call
local LINE = KEYS[1] -- the counters and settings, packed: they are read and written whole
local SLOTS = KEYS[2] -- admitted number -> 'at until source committed committing request account'
local ENDS = KEYS[3] -- numbers of live slots by their end
local KEPT = KEYS[4] -- all admitted numbers that are remembered, by their end
local ACCOUNTS = KEYS[5] -- account -> the number it was last admitted with
local AHEAD = KEYS[6] -- admitted numbers above now_serving, by number
local CALLS = KEYS[7] -- ids of calls by the last number they called
local CALL = KEYS[8] -- id -> 'upto at called answered'
local DOUBTFUL = KEYS[9] -- first numbers of doubtful ranges by their last ones
local LEFT = KEYS[10] -- places given up, by number
local RETRYING = KEYS[11] -- late comers who have priority when they try again, by until when
local RESERVATIONS = KEYS[12] -- node -> its last reservation and what it was answered
local FAILURES = KEYS[13] -- ids of failures that were reported, by when

local function int(n) return string.format('%.0f', n) end

local function run_id()
  return string.match(call('INFO', 'server'), 'run_id:(%w+)')
end

local function server_millis()
  if ARGV[2] ~= '' then return tonumber(ARGV[2]) end
  local time = call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local line = nil
-- False when the copy is lost: it is of another generation, or of another server or process.
local function open_line()
  local packed = call('GET', LINE)
  if not packed then return false end
  line = cmsgpack.unpack(packed)
  return line.generation == tonumber(ARGV[1]) and line.run_id == run_id()
end

local function keep_line() call('SET', LINE, cmsgpack.pack(line)) end

local function burst(rate)
  if rate == 0 then return 0 end
  return math.max(rate * 1000, TOKEN)
end

local function claim_millis() return line.claim_window_seconds * 1000 end
local function back_millis() return line.return_seconds * 1000 end
-- Slots in use, whether or not those that are over were swept.
local function active() return call('ZCOUNT', ENDS, '(' .. int(line.now), '+inf') end
