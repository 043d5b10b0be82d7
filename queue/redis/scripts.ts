import { givenUpOf, guard, keys, outcomesOf, setBack, shortened } from './script-parts.ts'

/**
 * The queue's atomic steps, in Lua. Each mirrors a method of ConsumerQueue or ProducerQueue, which say what
 * it promises. Numbers travel as decimal text: Redis integers above 2^53 are not exact in every client, and
 * Lua prints large numbers in scientific notation unless told otherwise.
 *
 * KEYS are always: batches, pushed, applied, alive, store, outcomes, wake (a pub/sub channel), given_up,
 * published. What consumers go by is `published`: they alone write it, while others may write to `applied`,
 * which producers read. It holds the id of the store, too: it is never empty once a consumer was here.
 */

/**
 * ARGV: producer, sequence, first_unconfirmed, element, batches at most, settled, highest. Returns pushed,
 * applied, outcomes and what was given up.
 */
const pushScript = `${keys}${outcomesOf}${givenUpOf}${setBack}
local producer, sequence, first_unconfirmed = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
say_alive(producer)
local altered = set_back(producer, first_unconfirmed, tonumber(ARGV[7]))
if altered then return altered end
local last = math.max(pushed_of(producer), tonumber(ARGV[6]))
local known = given_up_of(producer)
local comes_back = is_within(known, sequence)
  and not string.find(known .. ' ', ' +' .. text(sequence) .. ' ', 1, true)
local is_next = sequence == last + 1
if (is_next or comes_back) and redis.call('LLEN', batches) < tonumber(ARGV[5]) then
  if comes_back then redis.call('HSET', given_up, producer, known .. ' +' .. text(sequence)) end
  if is_next then redis.call('HSET', pushed, producer, text(sequence)) end
  local answer = redis.pcall('RPUSH', batches, ARGV[4])
  if type(answer) == 'table' and answer.err then
    if comes_back then redis.call('HSET', given_up, producer, known) end
    if is_next then redis.call('HSET', pushed, producer, text(last)) end
    return answer
  end
  if comes_back then known = known .. ' +' .. text(sequence) end
  if is_next then last = sequence end
  wake_up('pushed')
end
return { text(last), text(number_in(applied, producer)), outcomes_of(producer, first_unconfirmed), known }
`

/** How many elements at the end of the list are looked at for those of one producer. */
const lookedAtMax = 2_000

/**
 * ARGV: producer, first_unconfirmed, highest, 1 to look into the list. Returns pushed, applied, outcomes and
 * what was given up.
 */
const heartbeatScript = `${keys}${outcomesOf}${givenUpOf}${setBack}
say_alive(ARGV[1])
local altered = set_back(ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]))
if altered then return altered end
local function set_back_to_missing(producer, first, last)
  local missing, length, given_up_now = {}, redis.call('LLEN', batches), given_up_of(producer)
  for sequence = first, last do missing[text(sequence)] = true end
  for sequence in string.gmatch(given_up_now, ' %+(%d+)') do missing[sequence] = true end
  for index = 1, math.min(length, ${lookedAtMax}) do
    if not next(missing) then return end
    local name, sequence = string.match(string.sub(redis.call('LINDEX', batches, -index), 1, 100), '^(%S+) (%d+) ')
    if name == producer then missing[sequence] = nil end
  end
  -- Those further ahead in a longer list are taken for missing, too: what is there twice counts once.
  for sequence in pairs(missing) do
    if tonumber(sequence) >= first then redis.call('HSET', pushed, producer, text(first - 1))
    else given_up_now = string.gsub(given_up_now .. ' ', ' %+' .. sequence .. ' ', ' ') end
  end
  if given_up_now ~= given_up_of(producer) then
    redis.call('HSET', given_up, producer, (string.gsub(given_up_now, ' +$', '')))
  end
end
if ARGV[4] == '1' then
  local first = math.max(number_in(applied, ARGV[1]) + 1, tonumber(ARGV[2]))
  set_back_to_missing(ARGV[1], first, pushed_of(ARGV[1]))
end
local known = outcomes_of(ARGV[1], tonumber(ARGV[2]))
return { text(pushed_of(ARGV[1])), text(number_in(applied, ARGV[1])), known, given_up_of(ARGV[1]) }
`

/** ARGV: store id. Returns the id that the shard is bound to. Writes nothing if it is: Redis may be full. */
const bindScript = `${keys}
if redis.call('EXISTS', store) == 0 then
  redis.call('SET', store, ARGV[1])
  redis.call('HSET', published, ARGV[1], '0')
end
return redis.call('GET', store)
`

/**
 * ARGV: store id, count, bytes, how many to leave out, bytes of the largest batch. Returns elements; the
 * first one whatever its size.
 */
const readScript = `${keys}${guard}${shortened}
local elements, bytes = {}, 0
for index = 0, tonumber(ARGV[2]) - 1 do
  local element = redis.call('LINDEX', batches, tonumber(ARGV[4]) + index)
  if not element then break end
  element = shortened(element, tonumber(ARGV[5]))
  bytes = bytes + #element
  if index > 0 and bytes > tonumber(ARGV[3]) then break end
  elements[index + 1] = element
end
return elements
`

/**
 * ARGV: store id, bytes of the largest batch; then five lists, each preceded by the number of its items:
 * producer and watermark, producer and sequence of parked batches, discarded elements, producer and sequence
 * with letters, producer and ranges that were given up.
 *
 * Removal comes first and reads the watermarks from ARGV and from the hash: where a full Redis refuses to
 * write the hashes (before Redis 7, which lets a script say that it frees memory), the list still shrinks.
 * Batches removed without being published are sent again, skipped by the store, and published then.
 */
const publishScript = `${keys}${guard}${shortened}${givenUpOf}
local bytes_max = tonumber(ARGV[2])
local next = 3
local function items(width)
  local count, list = tonumber(ARGV[next]), {}
  for index = 1, count do
    list[index] = { ARGV[next + 1 + (index - 1) * width], ARGV[next + index * width] }
  end
  next = next + 1 + count * width
  return list
end
local watermarks, parked, discarded, settled = items(2), items(2), items(1), items(2)

local watermark_of, is_parked, is_discarded, ranges_given, ranges_of = {}, {}, {}, {}, {}
for _, item in ipairs(items(2)) do ranges_given[item[1]] = item[2] end
for _, item in ipairs(watermarks) do
  local producer, watermark, known = item[1], tonumber(item[2]), number_in(published, item[1])
  watermark_of[producer] = math.max(watermark, known)
  if watermark >= known then ranges_of[producer] = ranges_given[producer] or '' end
end
for _, item in ipairs(parked) do is_parked[item[1] .. ' ' .. item[2]] = true end
for _, item in ipairs(discarded) do is_discarded[item[1]] = true end

local function is_done(element)
  if is_discarded[shortened(element, bytes_max)] then return true end
  local producer, sequence = string.match(string.sub(element, 1, 100), '^(%S+) (%d+) ')
  if not producer then return false end
  if is_parked[producer .. ' ' .. sequence] then return true end
  local watermark = watermark_of[producer] or number_in(published, producer)
  if tonumber(sequence) > watermark then return false end
  return not is_within(ranges_of[producer] or given_up_of(producer), tonumber(sequence))
end
local head = redis.call('LINDEX', batches, 0)
while head and is_done(head) do
  redis.call('LPOP', batches)
  head = redis.call('LINDEX', batches, 0)
end

if not bound then redis.call('SET', store, ARGV[1]) end
redis.call('HSET', published, ARGV[1], '0')
-- Before the watermarks: who sees that a batch is applied sees what became of it.
for _, item in ipairs(settled) do
  local known = redis.call('HGET', outcomes, item[1])
  local sequence = string.match(item[2], '^%d+')
  if not known then redis.call('HSET', outcomes, item[1], item[2])
  elseif not string.find(' ' .. known, ' ' .. sequence .. ':', 1, true) then
    redis.call('HSET', outcomes, item[1], known .. ' ' .. item[2])
  end
end
-- Before the watermarks, too: who sees that a batch is covered sees whether it was given up.
for producer, ranges in pairs(ranges_of) do
  for sequence in string.gmatch(given_up_of(producer), ' %+(%d+)') do
    if is_within(ranges, tonumber(sequence)) then ranges = ranges .. ' +' .. sequence end
  end
  if ranges == '' then redis.call('HDEL', given_up, producer)
  else redis.call('HSET', given_up, producer, ranges) end
end
for producer, watermark in pairs(watermark_of) do
  redis.call('HSET', published, producer, text(watermark))
  redis.call('HSET', applied, producer, text(watermark))
end
for _, item in ipairs(parked) do redis.call('HSET', pushed, item[1], text(watermark_of[item[1]] or 0)) end
if not head then
  local all = redis.call('HGETALL', pushed)
  for index = 1, #all, 2 do
    local watermark = number_in(published, all[index])
    if number_in(pushed, all[index]) > watermark then
      redis.call('HSET', pushed, all[index], text(watermark))
    end
  end
end
wake_up('applied')
return redis.status_reply('OK')
`

/**
 * ARGV: silence in seconds. Returns how many producers were forgotten: none while anything is in the list.
 */
const forgetScript = `${keys}
if redis.call('EXISTS', batches) == 1 then return 0 end
local now, silence = tonumber(redis.call('TIME')[1]), tonumber(ARGV[1])
local forgotten = {}
for _, hash in ipairs({ alive, pushed, applied }) do
  for _, producer in ipairs(redis.call('HKEYS', hash)) do
    -- One from the future was made up, or before the clock was set back: it would never be silent.
    if math.abs(now - number_in(alive, producer)) > silence then forgotten[producer] = true end
  end
end
local count = 0
for producer in pairs(forgotten) do
  for _, hash in ipairs({ alive, pushed, applied, outcomes, given_up, published }) do
    redis.call('HDEL', hash, producer)
  end
  count = count + 1
end
return count
`

export type RedisCommand = 'push' | 'heartbeat' | 'bind' | 'read' | 'publish' | 'forget'

/**
 * Returns the scripts by name, for a Redis of that major version. Redis 7 lets a script say that it needs no
 * memory, so that a full Redis can still be emptied.
 */
export function redisCommands(major: number): Record<RedisCommand, string> {
  const flagged = (flags: string, lua: string) => (major >= 7 ? `#!lua flags=${flags}\n${lua}` : lua)
  return {
    push: pushScript,
    heartbeat: flagged('allow-oom', heartbeatScript),
    bind: flagged('allow-oom', bindScript),
    read: flagged('no-writes', readScript),
    publish: flagged('allow-oom', publishScript),
    forget: flagged('allow-oom', forgetScript),
  }
}

/** Returns the name of a Redis key. The braces keep the Redis keys of a shard on one node of a cluster. */
export function redisKey(shardIndex: number, name: string): string {
  return `piccolo:{${shardIndex}}:${name}`
}

/** Returns the Redis keys of a shard that the scripts use, in their order. */
export function redisKeys(shardIndex: number) {
  const key = (name: string) => redisKey(shardIndex, name)
  return {
    batches: key('batches'),
    pushed: key('pushed'),
    applied: key('applied'),
    alive: key('alive'),
    store: key('store'),
    outcomes: key('outcomes'),
    wake: key('wake'),
    givenUp: key('given-up'),
    published: key('published'),
  }
}
