/**
 * A dedup window in Redis. Beside the hash of KEYS[1] (its facts: ages and sizes of generations, losses) there are, under names that begin with KEYS[1]:
 *
 *   :<generation>:<shard>   hashes of some 32 cells, cell name to content, small enough for Redis to keep each as one packed string
 *   :c<turn>                the claims of a stretch of time, cell name to content; those of the turn before count as well
 *
 * A cell is a key (content '') or 256 neighbouring positions: up to 15 pairs of bytes (first, further ones), ascending, or 32 bytes of bits, lowest first. A shard also has a
 * cell without a name, by which one that Redis threw away is noticed. Shards grow one by one: number n takes its part of the cells of number n - 2^k (linear hashing).
 *
 * A claim on a key is owner (12 bytes), place (12 bytes, and a double); on positions a row of these, each behind its two bytes (first, further ones).
 *
 * KEYS: facts. ARGV: what to do, owner, milliseconds of the window, most ids, milliseconds of a claim, an id to keep for a new window, the run of the server, name for
 * people, ids. Returns verdicts, id and losses, milliseconds since the last loss.
 *
 * ids = rows of 'K', place (12 bytes and a double), count (2 bytes), keys of 17 bytes each; or 'P', length of the name, name, first, further ones, place.
 */
const FACTS = String.raw`
local facts, todo, owner = KEYS[1], ARGV[1], ARGV[2]
local window, most, claim_time, ids = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[9]
local SHARD_CELLS, MOST_UNLINKS = 32, 100
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local keep = math.ceil(window * 1.5) + 60000

local fact, changed = {}, {}
local flat = redis.call('HGETALL', facts)
-- Ids of hexadecimal digits may look like numbers.
local texts = { birth = true, run = true, name = true }
for i = 1, #flat, 2 do fact[flat[i]] = texts[flat[i]] and flat[i + 1] or tonumber(flat[i + 1]) end
local function set(name, value)
  fact[name] = value
  changed[name] = value
end

local function shard_key(generation, shard) return facts .. ':' .. generation .. ':' .. shard end
local function make_shard(key, ...)
  redis.call('HSET', key, '', '', ...)
  redis.call('PEXPIRE', key, keep)
end
local function open_generation(g)
  set('last', g)
  set('time' .. g, now)
  set('shards' .. g, 1)
  set('cells' .. g, 0)
  set('ids' .. g, 0)
  make_shard(shard_key(g, 0))
end
local lost = false
local function lose()
  if not lost then set('losses', fact.losses + 1) end
  lost = true
  set('since', now)
end

if not fact.birth then
  set('birth', ARGV[6])
  set('name', ARGV[8])
  set('run', ARGV[7])
  set('losses', 0)
  set('since', now)
  set('oldest', 1)
  set('first', 1)
  set('turn', 1)
  set('turned', now)
  open_generation(1)
elseif ARGV[7] ~= '' and fact.run ~= ARGV[7] then
  set('run', ARGV[7])
  lose()
end
-- A clock that went back would keep everything for so much longer.
for _, name in ipairs({ 'since', 'turned', 'time' .. fact.last }) do
  if fact[name] > now then set(name, now) end
end
local turns = math.floor((now - fact.turned) / claim_time)
if turns > 0 then
  set('turn', fact.turn + turns)
  set('turned', fact.turned + turns * claim_time)
end
local claims, claims_before = facts .. ':c' .. fact.turn, facts .. ':c' .. (fact.turn - 1)
local function is_over(g) return now >= fact['time' .. g] + window * 1.25 end
while fact.first < fact.last and is_over(fact.first) do set('first', fact.first + 1) end
`;

const SHARDS = String.raw`
local zeros = ('\0'):rep(16)
local function hash(name)
  if #name < 16 then name = zeros .. name end
  local a, b, c, d = struct.unpack('>I4I4I4I4', name, #name - 15)
  return (a * 65599 + b * 40503 + c * 30011 + d * 52711) % 4294967291
end
-- Per generation: shards, the largest power of two among them, how keys of shards begin.
local shards, power, base = {}, {}, {}
local function learn(g)
  shards[g], power[g], base[g] = fact['shards' .. g], 1, facts .. ':' .. g .. ':'
  while power[g] * 2 <= shards[g] do power[g] = power[g] * 2 end
end
local function shard_of(g, name_hash)
  local shard = name_hash % (power[g] * 2)
  if shard >= shards[g] then return shard - power[g] end
  return shard
end
local function content(g, name, name_hash)
  local key = base[g] .. shard_of(g, name_hash)
  local found = redis.call('HMGET', key, name, '')
  if not found[2] then
    lose()
    make_shard(key)
  end
  return found[1], key
end
local function split(g)
  local new = shards[g]
  local from = base[g] .. new - power[g]
  set('shards' .. g, new + 1)
  learn(g)
  local held = redis.call('HGETALL', from)
  local moved, gone = {}, {}
  for i = 1, #held, 2 do
    if held[i] ~= '' and shard_of(g, hash(held[i])) == new then
      moved[#moved + 1], moved[#moved + 2] = held[i], held[i + 1]
      gone[#gone + 1] = held[i]
    end
  end
  make_shard(base[g] .. new, unpack(moved))
  if #gone > 0 then redis.call('HDEL', from, unpack(gone)) end
end
local function unlink_dropped()
  local left = MOST_UNLINKS
  while fact.oldest < fact.first and left > 0 do
    local old = fact.oldest
    local there = fact['shards' .. old]
    local rest = math.max(0, there - left)
    local keys = {}
    for shard = rest, there - 1 do keys[#keys + 1] = shard_key(old, shard) end
    if #keys > 0 then redis.call('UNLINK', unpack(keys)) end
    left = left - #keys
    if rest > 0 then
      set('shards' .. old, rest)
    else
      for _, name in ipairs({ 'time', 'shards', 'cells', 'ids' }) do
        changed[name .. old] = nil
        redis.call('HDEL', facts, name .. old)
      end
      set('oldest', old + 1)
    end
  end
end
`;

const RUNS = String.raw`
local function runs_of(text)
  local runs = {}
  if #text ~= 32 then
    for i = 1, #text, 2 do runs[#runs + 1] = { text:byte(i), text:byte(i) + text:byte(i + 1) } end
    return runs
  end
  local open
  for i = 0, 256 do
    local on = i < 256 and bit.band(text:byte(math.floor(i / 8) + 1), bit.lshift(1, i % 8)) ~= 0
    if on and not open then open = i end
    if not on and open then
      runs[#runs + 1] = { open, i - 1 }
      open = nil
    end
  end
  return runs
end
local function text_of(runs)
  local bytes = {}
  if #runs <= 15 then
    for i, run in ipairs(runs) do bytes[i] = string.char(run[1], run[2] - run[1]) end
    return table.concat(bytes)
  end
  for i = 1, 32 do bytes[i] = 0 end
  for _, run in ipairs(runs) do
    for at = run[1], run[2] do
      local byte = math.floor(at / 8) + 1
      bytes[byte] = bytes[byte] + bit.lshift(1, at % 8)
    end
  end
  return string.char(unpack(bytes))
end
-- Adds [first, last]; gives the new content and how many were not there.
local function with_run(text, first, last)
  if not text then return string.char(first, last - first), last - first + 1 end
  local joined, added, low, high = {}, last - first + 1, first, last
  local placed = false
  for _, run in ipairs(runs_of(text)) do
    if run[2] < low - 1 then
      joined[#joined + 1] = run
    elseif run[1] > high + 1 then
      if not placed then joined[#joined + 1] = { low, high } end
      placed = true
      joined[#joined + 1] = run
    else
      added = added - math.max(0, math.min(last, run[2]) - math.max(first, run[1]) + 1)
      low, high = math.min(low, run[1]), math.max(high, run[2])
    end
  end
  if not placed then joined[#joined + 1] = { low, high } end
  return text_of(joined), added
end
`;

const CLAIMS = String.raw`
local FRESH, OURS, REPEATED, CLAIMED, STORED = 0, 1, 2, 3, 4
local CLAIM_BYTES = 34
local function claim_text(first, last, lead, at) return string.char(first, last - first) .. owner .. lead .. struct.pack('>d', at) end
local function each_claim(text, visit)
  for i = 1, #(text or ''), CLAIM_BYTES do
    local first = text:byte(i)
    visit(first, first + text:byte(i + 1), text:sub(i + 2, i + 13), text:sub(i + 14, i + 25), (struct.unpack('>d', text, i + 26)), text:sub(i, i + CLAIM_BYTES - 1))
  end
end
-- Takes [first, last] out of the claims on a cell: those of anybody, or those of one owner.
local function cut_claims(key, name, first, last, whose)
  local text = redis.call('HGET', key, name)
  if not text then return end
  local rest = {}
  each_claim(text, function(low, high, who, lead, at, whole)
    if high < first or low > last or (whose and who ~= whose) then
      rest[#rest + 1] = whole
      return
    end
    local tail = who .. lead
    if low < first then rest[#rest + 1] = string.char(low, first - 1 - low) .. tail .. struct.pack('>d', at) end
    if high > last then rest[#rest + 1] = string.char(last + 1, high - last - 1) .. tail .. struct.pack('>d', at + last + 1 - low) end
  end)
  if #rest == 0 then redis.call('HDEL', key, name) else redis.call('HSET', key, name, table.concat(rest)) end
end
local live = {}
for g = fact.last, fact.first, -1 do
  learn(g)
  if not is_over(g) then live[#live + 1] = g end
end
`;

const ACTIONS = String.raw`
local verdicts = {}
local claimed, claimed_names, freed = {}, {}, {}
local wrote_claims = false
-- A value of more than 64 bytes makes Redis keep the claims as a table: packed, hundreds of them would be searched from end to end.
local SPREAD = ('-'):rep(65)
local has_before = redis.call('EXISTS', claims_before) == 1

local claim = {}
function claim.key(name, lead, at)
  local name_hash = hash(name)
  for _, g in ipairs(live) do
    if content(g, name, name_hash) then return STORED end
  end
  local mine = owner .. lead .. struct.pack('>d', at)
  local known = claimed[name] or redis.call('HGET', claims, name)
  local before = not known and has_before and redis.call('HGET', claims_before, name)
  if not known then
    if not before or before == mine then
      claimed[name] = mine
      claimed_names[#claimed_names + 1] = name
    end
    known = before
  end
  if not known then return FRESH end
  if known == mine then return OURS end
  return known:sub(1, 12) == owner and REPEATED or CLAIMED
end
function claim.positions(name, first, last, lead, at)
  local held = redis.call('HGET', claims, name)
  local painted, kept = {}, {}
  local function paint(text, now_kept)
    each_claim(text, function(low, high, who, its_lead, its_at)
      local verdict = CLAIMED
      if who == owner then verdict = its_lead == lead and its_at - low == at - first and OURS or REPEATED end
      for i = math.max(first, low), math.min(last, high) do painted[i], kept[i] = verdict, now_kept end
    end)
  end
  if has_before then paint(redis.call('HGET', claims_before, name), false) end
  paint(held, true)
  local name_hash = hash(name)
  for _, g in ipairs(live) do
    local text = content(g, name, name_hash)
    for _, run in ipairs(text and runs_of(text) or {}) do
      for i = math.max(first, run[1]), math.min(last, run[2]) do painted[i] = STORED end
    end
  end
  local added, open = {}, nil
  local bytes = {}
  for i = first, last + 1 do
    local verdict = painted[i] or FRESH
    local wanted = i <= last and (verdict == FRESH or (verdict == OURS and not kept[i]))
    if wanted and not open then open = i end
    if not wanted and open then
      added[#added + 1] = claim_text(open, i - 1, lead, at + open - first)
      open = nil
    end
    if i <= last then bytes[#bytes + 1] = string.char(verdict) end
  end
  if #added > 0 then
    redis.call('HSET', claims, '', SPREAD, name, (held or '') .. table.concat(added))
    wrote_claims = true
  end
  return table.concat(bytes)
end

local confirm = {}
local target, cells, confirmed
local function note(new_cells, added)
  confirmed = confirmed + added
  cells = cells + new_cells
  -- At once: a shard that has grown too large, even for a moment, is never packed again.
  if cells > SHARD_CELLS * shards[target] then split(target) end
end
function confirm.key(name)
  local added = redis.call('HSETNX', base[target] .. shard_of(target, hash(name)), name, '')
  note(added, added)
  freed[#freed + 1] = name
end
function confirm.positions(name, first, last)
  local there, key = content(target, name, hash(name))
  local text, added = with_run(there, first, last)
  if added > 0 then redis.call('HSET', key, name, text) end
  note(there and 0 or 1, added)
  cut_claims(claims, name, first, last)
  if has_before then cut_claims(claims_before, name, first, last) end
end

local release = {}
function release.key(name)
  for _, key in ipairs({ claims, claims_before }) do
    if (redis.call('HGET', key, name) or ''):sub(1, 12) == owner then redis.call('HDEL', key, name) end
  end
end
function release.positions(name, first, last)
  cut_claims(claims, name, first, last, owner)
  if has_before then cut_claims(claims_before, name, first, last, owner) end
end

local action = ({ claim = claim, confirm = confirm, release = release })[todo]
if todo == 'confirm' then
  local g = fact.last
  if now >= fact['time' .. g] + window / 4 or fact['ids' .. g] >= most / 4 then open_generation(g + 1) end
  local total = tonumber(ARGV[10])
  for each = fact.first, fact.last do total = total + fact['ids' .. each] end
  while fact.first < fact.last and total > most do
    total = total - fact['ids' .. fact.first]
    set('first', fact.first + 1)
  end
  target = fact.last
  learn(target)
  cells, confirmed = fact['cells' .. target], fact['ids' .. target]
end
local act_on_key = action and action.key
local CHARS = { [0] = '\0', '\1', '\2', '\3', '\4' }
local i = 1
while i <= #ids do
  if ids:byte(i) == 75 then
    local lead = ids:sub(i + 1, i + 12)
    local at, count = struct.unpack('>dI2', ids, i + 13)
    i = i + 23
    for n = 0, count - 1 do
      local verdict = act_on_key(ids:sub(i, i + 16), lead, at + n)
      if verdict then verdicts[#verdicts + 1] = CHARS[verdict] end
      i = i + 17
    end
  else
    local size = ids:byte(i + 1)
    local name = ids:sub(i + 2, i + 1 + size)
    i = i + 2 + size
    local first = ids:byte(i)
    local verdict = action.positions(name, first, first + ids:byte(i + 1), ids:sub(i + 2, i + 13), (struct.unpack('>d', ids, i + 14)))
    verdicts[#verdicts + 1] = verdict
    i = i + 22
  end
end
if target then
  set('cells' .. target, cells)
  set('ids' .. target, confirmed)
end
if #claimed_names > 0 then
  local rows = { '', SPREAD }
  for _, name in ipairs(claimed_names) do rows[#rows + 1], rows[#rows + 2] = name, claimed[name] end
  redis.call('HSET', claims, unpack(rows))
  wrote_claims = true
end
if wrote_claims then redis.call('PEXPIRE', claims, claim_time * 3) end
if #freed > 0 then
  redis.call('HDEL', claims, unpack(freed))
  if has_before then redis.call('HDEL', claims_before, unpack(freed)) end
end
unlink_dropped()
local rows = {}
for name, value in pairs(changed) do rows[#rows + 1], rows[#rows + 2] = name, value end
if #rows > 0 then redis.call('HSET', facts, unpack(rows)) end
redis.call('PEXPIRE', facts, math.max(2592000000, window * 4))
return { table.concat(verdicts), fact.birth .. ':' .. fact.losses, now - fact.since }
`;

export const WINDOW: string = FACTS + SHARDS + RUNS + CLAIMS + ACTIONS;
