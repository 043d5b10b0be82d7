/**
 * Tries every command and every Redis key of the queue's scripts in a way that changes nothing, as nothing
 * would undo what a script did before it was refused something. Returns what the user may not use, by names
 * of commands, of Redis keys and of the channel.
 *
 * A field with an empty name makes `alive` a hash while this runs: a command for another type, if it is
 * allowed, complains about the type and does nothing.
 */
export const rightsScript = `
local alive, store, wake = KEYS[4], KEYS[5], KEYS[7]
local refused = {}
local function may(where, ...)
  local answer = redis.pcall(...)
  local text = type(answer) == 'table' and answer.err
  if not text then return true end
  local isRefusal = string.find(text, 'NOPERM', 1, true) or string.find(text, 'ACL failure in script', 1, true)
    or string.find(text, 'The user executing the script', 1, true)
  if isRefusal then refused[#refused + 1] = string.find(text, 'run th', 1, true) and (...) or where end
  return false
end
for _, key in ipairs(KEYS) do
  if key ~= wake then may(key, 'EXISTS', key) end
  if key ~= wake then may(key, 'HDEL', key, '') end
end
may(wake, 'PUBLISH', wake, '')
if may(alive, 'HDEL', alive, '') and may(alive, 'HSET', alive, '', '') then
  for _, call in ipairs({
    { 'HGET', alive, '' }, { 'HMGET', alive, '' }, { 'HGETALL', store }, { 'HKEYS', store },
    { 'RPUSH', alive, '' }, { 'LPOP', alive }, { 'LINDEX', alive, 0 }, { 'LLEN', alive },
    { 'GET', alive }, { 'SET', alive, '', 'NX' }, { 'TIME' },
  }) do may(alive, unpack(call)) end
  redis.call('HDEL', alive, '')
end
return refused
`

/** Rights of the Redis user. Without PUBLISH, SUBSCRIBE, their channel and INFO it goes on, with a warning. */
export const redisRights =
  'resetkeys ~piccolo:* resetchannels &piccolo:* -@all +eval +evalsha +exists +get +hdel +hget +hgetall ' +
  '+hkeys +hmget +hset +lindex +llen +lpop +lrange +rpush +set +time +info +publish +subscribe +client|setname'
