import { countMax, oversizedBytesKept } from '../../batch/limits.ts'

/** The names of what a shard has in Redis, and what every script does with them. */
export const keys = `
local batches, pushed, applied, alive, store = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local outcomes, wake, given_up, published = KEYS[6], KEYS[7], KEYS[8], KEYS[9]
-- What nobody of us wrote there counts as nothing; 'nan' is a number for Lua, and no number is.
local function number_in(hash, field)
  local number = tonumber(redis.call('HGET', hash, field) or '0')
  if number and number >= 0 and number <= ${countMax} then return math.floor(number) end
  return 0
end
-- What is beyond the watermark lies in the list: where there is none, it has vanished, whatever this says.
local function pushed_of(producer)
  local sequence = number_in(pushed, producer)
  if redis.call('EXISTS', batches) == 1 then return sequence end
  return math.min(sequence, number_in(applied, producer))
end
local function text(number) return string.format('%.0f', number) end
-- Only a hint: a user who may not publish loses nothing else.
local function wake_up(event) redis.pcall('PUBLISH', wake, event) end
local function say_alive(producer)
  local now = redis.call('TIME')
  redis.call('HSET', alive, producer, now[1] .. '.' .. string.format('%06d', now[2]))
end
`

/** The outcomes of a producer from its first unconfirmed batch on, as `7:ad 9:a`; the rest is dropped. */
export const outcomesOf = `
local function outcomes_of(producer, first_unconfirmed)
  local all = redis.call('HGET', outcomes, producer)
  if not all then return '' end
  local kept = {}
  for sequence, letters in string.gmatch(all, '(%d+):(%a+)') do
    if tonumber(sequence) >= first_unconfirmed then kept[#kept + 1] = sequence .. ':' .. letters end
  end
  local wanted = table.concat(kept, ' ')
  if wanted == '' then redis.call('HDEL', outcomes, producer)
  elseif wanted ~= all then redis.call('HSET', outcomes, producer, wanted) end
  return wanted
end
`

/**
 * Returns the batches of a producer that were given up, as `5-7 9-9 +6`: ranges, and those of them that have
 * come back into the list. They may have vanished from there; from an empty list they have.
 */
export const givenUpOf = `
local function given_up_of(producer)
  local known = redis.call('HGET', given_up, producer) or ''
  if redis.call('EXISTS', batches) == 0 then known = string.gsub(known, ' %+%d+', '') end
  return known
end
local function is_within(ranges, sequence)
  for first, last in string.gmatch(ranges, '(%d+)-(%d+)') do
    if tonumber(first) <= sequence and sequence <= tonumber(last) then return true end
  end
  return false
end
`

/**
 * Returns an error, once, for a position that is beyond what its producer can have pushed, or a watermark
 * beyond what consumers published; else nothing. Consumers of earlier versions published nothing apart.
 */
export const setBack = `
local function set_back(producer, first_unconfirmed, highest)
  local sequence, watermark = number_in(pushed, producer), number_in(applied, producer)
  local is_known = redis.call('EXISTS', published) == 1
  local watermark_max = is_known and math.min(highest, number_in(published, producer)) or highest
  if sequence <= highest and watermark <= watermark_max then return nil end
  redis.call('HSET', pushed, producer, text(first_unconfirmed - 1))
  if watermark > watermark_max then
    redis.call('HSET', applied, producer, text(is_known and watermark_max or first_unconfirmed - 1))
  end
  return redis.error_reply('ALTERED ' .. text(sequence) .. ' pushed, ' .. text(watermark) .. ' applied')
end
`

/** A consumer of another database must neither read nor remove: its totals would be split between the two. */
export const guard = `
local bound = redis.call('GET', store)
if bound and bound ~= ARGV[1] then return redis.error_reply('FOREIGN ' .. bound) end
`

/**
 * An element as it is read and discarded: of one that is larger than any batch, so much that it is known
 * again. It must be no batch in this form, either.
 */
export const shortened = `
local function shortened(element, bytes_max)
  if #element <= bytes_max then return element end
  return 'an element of ' .. text(#element) .. ' bytes: ' .. string.sub(element, 1, ${oversizedBytesKept})
end
`
