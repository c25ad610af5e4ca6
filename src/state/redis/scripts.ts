/**
 * Scripts that Redis runs as one step. Each is sent whole with every call: it costs some hundred bytes, and a Redis that
 * was restarted or flushed has nothing to be told again. Header of each: keys, arguments, result.
 */

/** KEYS: generation. ARGV: the id to keep if there is none. Returns the id that is kept. */
export const GENERATION = `
redis.call('SET', KEYS[1], ARGV[1], 'NX')
return redis.call('GET', KEYS[1])`;

/** Sets a list in a hash if it is as expected. KEYS: hash. ARGV: field, expected list as JSON text, new one. Returns 1 when it was set. */
export const REPLACE_LIST = `
if (redis.call('HGET', KEYS[1], ARGV[1]) or '[]') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1`;

/**
 * KEYS: leases, a hash of rows by name; its own id has the empty name. ARGV: the id to keep if there is none, the id that the caller knows, then per row name, expected row, new
 * row (see LeaseTable). Returns the id, then each row as it is now.
 */
export const SWAP_LEASES = `
local key = KEYS[1]
redis.call('HSETNX', key, '', ARGV[1])
local answer = { redis.call('HGET', key, '') }
local known = answer[1] == ARGV[2]
for i = 3, #ARGV, 3 do
  local row = redis.call('HGET', key, ARGV[i]) or ''
  if known and ARGV[i + 2] ~= '' and row == ARGV[i + 1] then
    row = ARGV[i + 2]
    redis.call('HSET', key, ARGV[i], row)
  end
  answer[#answer + 1] = row
end
return answer`;

/** KEYS: checkpoints and position index of the mirror. ARGV: the lane's text, and how members of the index begin and end that are its own. */
export const FORGET_LANE = `
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREMRANGEBYLEX', KEYS[2], '[' .. ARGV[2], '(' .. ARGV[2] .. '\\255')`;

/**
 * Redis compares strings of Lua by the collation of its locale, in which bytes above 127 may sort anywhere; positions need bytes.
 */
const BEFORE = `
local function before(a, b)
  for i = 1, #a do
    local x, y = a:byte(i), b:byte(i)
    if x ~= y then return x < y end
  end
  return false
end`;

/**
 * Members of the sorted set are lane .. first .. reach .. chunks, all with score 0, so that Redis sorts them byte by byte.
 * The lane's text is JSON and ends with a zero byte, which JSON never holds. See segments.ts for the rule behind it.
 *
 * KEYS: position index of the mirror. ARGV: bytes of a full segment, segments per lane, bytes of a sort key, then per chunk
 * lane, first, last, chunk.
 */
export const APPEND_INDEX: string = `${BEFORE}
local key, full, most, size = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
for i = 4, #ARGV, 4 do
  local lane, begin, last, chunks = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local lowest, highest = '[' .. lane, '(' .. lane .. '\\255'
  local after = '(' .. lane .. begin .. '\\255'
  local head = #lane + 2 * size
  local first, reach = begin, last
  local joined = false
  local floor = redis.call('ZREVRANGEBYLEX', key, after, lowest, 'LIMIT', 0, 1)[1]
  if floor then
    local floor_reach = floor:sub(#lane + size + 1, head)
    if before(reach, floor_reach) then reach = floor_reach end
    if #floor - head + #chunks <= full then
      redis.call('ZREM', key, floor)
      first, chunks, joined = floor:sub(#lane + 1, #lane + size), floor:sub(head + 1) .. chunks, true
    end
  end
  redis.call('ZADD', key, 0, lane .. first .. reach .. chunks)

  local lower = {}
  while true do
    local later = redis.call('ZRANGEBYLEX', key, after, highest, 'LIMIT', #lower, 1)[1]
    if not later or not before(later:sub(#lane + size + 1, head), last) then break end
    lower[#lower + 1] = later
  end
  for _, later in ipairs(lower) do
    redis.call('ZREM', key, later)
    redis.call('ZADD', key, 0, later:sub(1, #lane + size) .. last .. later:sub(head + 1))
  end

  if not joined then
    local excess = redis.call('ZLEXCOUNT', key, lowest, highest) - most
    if excess > 0 then
      for _, old in ipairs(redis.call('ZRANGEBYLEX', key, lowest, highest, 'LIMIT', 0, excess)) do redis.call('ZREM', key, old) end
    end
  end
end`;

/** KEYS: position index of the mirror. ARGV: lane, from, to, bytes of a sort key, limit. Returns the chunks of the segments to look at, ascending. */
export const READ_INDEX: string = `${BEFORE}
local key, lane, from, to, size, limit = KEYS[1], ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local head = #lane + 2 * size
local after = '(' .. lane .. from .. '\\255'
local found = {}
local floor
local top = after
while true do
  local segment = redis.call('ZREVRANGEBYLEX', key, top, '[' .. lane, 'LIMIT', 0, 1)[1]
  if not segment then break end
  if floor and before(segment:sub(#lane + size + 1, head), floor) then break end
  floor = floor or segment:sub(#lane + 1, #lane + size)
  table.insert(found, 1, segment:sub(head + 1))
  top = '(' .. segment
end
local bottom, ceiling = after, '(' .. lane .. to .. '\\255'
local places, previous = 0, nil
while places < limit do
  local segment = redis.call('ZRANGEBYLEX', key, bottom, ceiling, 'LIMIT', 0, 1)[1]
  if not segment then break end
  local first = segment:sub(#lane + 1, #lane + size)
  if first ~= previous then places, previous = places + 1, first end
  found[#found + 1] = segment:sub(head + 1)
  bottom = '(' .. segment
end
return found`;
