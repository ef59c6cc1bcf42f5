-- Gateways --------------------------------------------------------------------------------------------------------

-- Whether the process that holds a lease still exists: it listens to its probe channel, and Redis notices immediately
-- when a killed process' connections have ended.
local function is_listening(prefix, gateway, process)
  local channel = prefix .. '__probe__' .. gateway .. (process and '.' .. process or '')
  return redis.call('PUBLISH', channel, '?') > 0
end

-- The canary is under the layer's prefix, so whatever deletes the layer's keys (flush(), FLUSHDB) deletes it too; a
-- gateway that gets a different canary than it knew adds all its groups again.
--
-- Fields `process` and `link` identify the holder: a name belongs to one process at a time. renewed: 1; 0 when the lease
-- had ended or was held by a process that no longer exists; -1: another process has the name, and its fields follow.
local function gateway_lease(_, args)
  local prefix, gateway, lease = args[1], args[2], whole_number(args[3], 1, 3600)
  if not gateway or not lease or #args < 4 then
    return redis.error_reply('ERR tocsin: gateway_lease wants prefix, gateway, seconds, canary, then fields')
  end
  local seconds, clock = now()
  local key, index, canary_key = own(prefix, 'gateway:' .. gateway), own(prefix, 'gateways'), prefix .. ':tocsin'
  local process, link = nil, nil
  for i = 5, #args - 1, 2 do
    if args[i] == 'process' then process = args[i + 1] elseif args[i] == 'link' then link = tonumber(args[i + 1]) end
  end
  local renewed = redis.call('EXISTS', key)
  if process and renewed == 1 then
    local held = redis.call('HMGET', key, 'process', 'link')
    if held[1] ~= process then
      if is_listening(prefix, gateway, held[1]) then
        local holder = { '', -1 }
        for _, text in ipairs(redis.call('HGETALL', key)) do holder[#holder + 1] = text end
        return holder
      end
      renewed = 0
    elseif link and link < (tonumber(held[2]) or 0) then
      return redis.error_reply(NO_LEASE)
    end
  end
  local canary = redis.call('GET', canary_key)
  if not canary then
    canary = string.sub(redis.sha1hex(canary_key .. clock[1] .. clock[2] .. gateway), 1, 16)
    redis.call('SET', canary_key, canary)
  end
  -- The index first: a gateway with a future time in it is not swept, whatever the type of the other key.
  redis.call('ZADD', index, string.format('%.3f', seconds + lease), gateway)
  local fields = { 'HSET', key, 'gateway', gateway, 'seen', string.format('%.3f', seconds) }
  for i = 5, #args - 1, 2 do fields[#fields + 1] = args[i]; fields[#fields + 1] = args[i + 1] end
  redis.call(unpack(fields))
  redis.call('EXPIRE', key, lease)
  local answer = { canary, renewed, policies(prefix, redis.call('GET', own(prefix, 'policy'))).version }
  for _, live in ipairs(redis.call('ZRANGEBYSCORE', index, string.format('%.3f', seconds), '+inf')) do
    answer[#answer + 1] = live
  end
  return answer
end

-- A gateway that leaves on purpose: whatever it did not discard itself is swept immediately. process: only if it is the holder.
local function gateway_release(_, args)
  if #args ~= 2 and #args ~= 3 then
    return redis.error_reply('ERR tocsin: gateway_release wants prefix, gateway and, to be safe, process')
  end
  local key = own(args[1], 'gateway:' .. args[2])
  if args[3] then
    local process = redis.call('HGET', key, 'process')
    if process and process ~= args[3] then return 0 end
  end
  redis.call('DEL', key)
  redis.call('ZADD', own(args[1], 'gateways'), 0, args[2])
  return 1
end

-- Discards one connection of a dead gateway: 'GROUP CHANNEL'. Returns the key of a wrong type, if any.
local function sweep_entry(prefix, gateway, entry, seconds)
  local name, channel = string.match(entry, '^(%S+) (.+)$')
  local group = name and place_of(prefix .. ':group:' .. name)
  if group then return discard_or_defer(group, gateway, channel, seconds) end
  redis.call('SREM', own(prefix, 'members:' .. gateway), entry)
end

-- A number, followed by skipped keys of a wrong type; without any, just the number, as gateways of version 5 expect.
local function with_foreign(number, foreign)
  return #foreign == 0 and number or { number, unpack(foreign, 1, 100) }
end

-- Retries what could not be swept, a few at a time: the keys may have been repaired.
local function sweep_deferred(prefix, seconds, foreign)
  local deferred = own(prefix, 'unswept')
  local entries = redis.pcall('SRANDMEMBER', deferred, 10)
  for _, entry in ipairs(entries.err and {} or entries) do
    local gateway, name, channel = string.match(entry, '^(%S+) (%S+) (.+)$')
    local group = name and place_of(prefix .. ':group:' .. name)
    if not group or pcall(discard, group, gateway, channel, seconds) then
      redis.call('SREM', deferred, entry)
    else
      foreign[#foreign + 1] = note_foreign(prefix, foreign_key_of(group), seconds)
    end
  end
end

-- The number swept, and keys of a wrong type that were skipped.
local function gateway_sweep(_, args)
  local prefix, limit = args[1], whole_number(args[2], 1, 10000)
  if not limit then return redis.error_reply('ERR tocsin: gateway_sweep wants prefix and a limit') end
  local seconds, foreign = now(), {}
  local index, at = own(prefix, 'gateways'), string.format('%.3f', seconds)
  local dead = redis.call('ZRANGEBYSCORE', index, '-inf', '(' .. at, 'LIMIT', 0, 1)[1]
  if dead then
    local members, entries = own(prefix, 'members:' .. dead), {}
    if is_foreign(members, 'members') then
      foreign[1] = note_foreign(prefix, members, seconds)
    else
      -- Not SPOP: an entry stays until its connection has been removed from the roster, or deferred.
      entries = redis.call('SRANDMEMBER', members, limit)
    end
    for _, entry in ipairs(entries) do foreign[#foreign + 1] = sweep_entry(prefix, dead, entry, seconds) end
    if #entries < limit then
      redis.call('ZREM', index, dead)
      redis.call('DEL', own(prefix, 'gateway:' .. dead))
    end
    return with_foreign(math.max(#entries, 1), foreign)
  end
  sweep_deferred(prefix, seconds, foreign)
  local retained = own(prefix, 'retained')
  if is_foreign(retained, 'retained') then
    foreign[#foreign + 1] = note_foreign(prefix, retained, seconds)
    return with_foreign(0, foreign)
  end
  local ended = redis.call('ZRANGEBYSCORE', retained, '-inf', at, 'LIMIT', 0, limit)
  for _, name in ipairs(ended) do
    redis.call('ZREM', retained, name)
    local group = place_of(prefix .. ':group:' .. name)
    if group then policy(group) end
    local roster = group and redis.call('EXISTS', group.roster) == 1
    local removed = group and not roster and redis.pcall('ZREM', group.key, group.fleet)
    if type(removed) == 'table' then
      foreign[#foreign + 1] = note_foreign(prefix, group.key, seconds)
    end
  end
  return with_foreign(#ended, foreign)
end

-- Members that only a retention keeps belong to no connection: they are refreshed from the list itself.
-- Returns the next start, and keys of a wrong type that were skipped.
local function gateway_retain(_, args)
  local prefix, expiry = args[1], whole_number(args[2], 1, 315360000)
  local start, limit = whole_number(args[3], 0, 1e9), whole_number(args[4], 1, 10000)
  if not expiry or not start or not limit then
    return redis.error_reply('ERR tocsin: gateway_retain wants prefix, group_expiry, start, limit')
  end
  local seconds, foreign = now(), {}
  local score, retained = string.format('%.6f', seconds), own(prefix, 'retained')
  if is_foreign(retained, 'retained') then
    return with_foreign(0, { note_foreign(prefix, retained, seconds) })
  end
  local layer = layer_of(prefix)
  local groups = redis.call('ZRANGE', retained, start, start + limit - 1)
  for _, name in ipairs(groups) do
    local key = prefix .. ':group:' .. name
    local added = redis.pcall('ZADD', key, score, fleet_member(name, layer))
    if type(added) == 'table' then
      foreign[#foreign + 1] = note_foreign(prefix, key, seconds)
    else
      redis.call('EXPIRE', key, expiry)
    end
  end
  return with_foreign(#groups == limit and start + limit or 0, foreign)
end

-- The commands of a gateway's work, by key. ':' and 'specific' are prefixed with the layer's prefix, the rest with ours.
local WORK = {
  { ':group:trial', 'ZADD', 'ZREM', 'ZRANGE', 'ZREMRANGEBYSCORE', 'EXPIRE' }, { ':tocsin', 'GET', 'SET' },
  { 'specific.tocsin-00!', 'EXISTS', 'TYPE', 'ZRANGE', 'ZREMRANGEBYRANK' }, { 'specific.tocsin-bell.trial!', 'ZADD', 'EXPIRE', 'DEL' },
  { 'specific.trial!', 'ZADD', 'ZCARD', 'ZREMRANGEBYSCORE', 'EXPIRE' }, { 'policy', 'GET', 'SET' }, { 'key:trial', 'GET', 'SET' }, { 'pos:trial', 'HMGET', 'HSET', 'EXPIRE', 'TYPE' },
  { 'log:trial', 'XADD', 'XRANGE', 'XREVRANGE', 'XTRIM', 'XDEL', 'XLEN', 'EXISTS', 'TTL', 'EXPIRE', 'DEL', 'TYPE' },
  { 'roster:trial', 'HSETNX', 'HGET', 'HDEL', 'HEXISTS', 'HVALS', 'EXISTS', 'TYPE' },
  { 'members:trial', 'SADD', 'SREM', 'SRANDMEMBER', 'SSCAN', 'TYPE' }, { 'unswept', 'SADD', 'SREM', 'SRANDMEMBER' },
  { 'foreign', 'ZADD', 'ZREMRANGEBYRANK' },
  { 'gateway:trial', 'EXISTS', 'HSET', 'HGET', 'HMGET', 'HGETALL', 'EXPIRE', 'DEL' }, { 'gateways', 'ZADD', 'ZREM', 'ZRANGEBYSCORE' },
  { 'retained', 'ZADD', 'ZREM', 'ZSCORE', 'ZRANGE', 'ZRANGEBYSCORE', 'TYPE' },
  { 'outgoing', 'XADD', 'XRANGE', 'XDEL', 'XTRIM' }, { 'staging:00', 'XADD', 'XRANGE', 'XDEL', 'XLEN', 'TYPE' },
  { 'seen:trial', 'HGET', 'HSET', 'HDEL', 'HGETALL', 'EXPIRE', 'TTL', 'EXISTS', 'DEL', 'TYPE' },
  { 'reads:trial:u', 'ZADD', 'ZREM', 'ZSCORE', 'ZRANGE', 'ZRANGEBYSCORE', 'ZREMRANGEBYSCORE', 'EXPIRE', 'TTL', 'DEL' },
  { 'holes:trial', 'ZADD', 'ZREM', 'ZCARD', 'ZRANGEBYSCORE', 'ZREVRANGEBYSCORE', 'ZREMRANGEBYSCORE', 'EXPIRE', 'TTL', 'DEL', 'TYPE' },
  { 'expiring:trial', 'ZADD', 'ZREM', 'ZCARD', 'ZRANGE', 'ZRANGEBYSCORE', 'EXPIRE', 'TTL', 'DEL', 'TYPE' },
  { 'collapse:trial', 'HGET', 'HSET', 'HDEL', 'HLEN', 'HGETALL', 'EXPIRE', 'TTL', 'DEL', 'TYPE' },
  { 'tracked:u', 'SADD', 'SREM', 'SISMEMBER', 'SMEMBERS', 'SRANDMEMBER', 'EXPIRE', 'TTL', 'DEL' },
  { 'due', 'ZADD', 'ZREM', 'ZCARD', 'ZRANGE', 'ZRANGEBYSCORE', 'ZSCAN' }, { 'scheduled', 'HSET', 'HGET', 'HDEL', 'HEXISTS', 'TYPE' },
  { 'escalations', 'XADD', 'XRANGE', 'XDEL', 'TYPE' },
  { 'task:trial', 'HSET', 'HGET', 'HMGET', 'HINCRBY', 'EXISTS', 'EXPIRE', 'PERSIST', 'DEL', 'TYPE' },
  { 'tasks:trial', 'ZADD', 'ZREM', 'ZCARD', 'ZRANGEBYSCORE', 'ZSCAN', 'TYPE' },
  { 'claims:trial', 'ZADD', 'ZREM', 'ZCARD', 'ZSCORE', 'ZRANGEBYSCORE', 'ZSCAN' },
  { 'dead', 'ZADD', 'ZREM', 'ZSCORE', 'ZRANGE', 'ZREVRANGE', 'ZREMRANGEBYSCORE', 'ZSCAN' },
  { 'push:u', 'HSET', 'HDEL', 'HEXISTS', 'HLEN', 'HGETALL', 'DEL', 'TYPE' } }
-- What lists want besides, for the layer of channels_redis 2.x.
local LIST_WORK = { 'specific.tocsin-00!', 'LLEN', 'LINDEX', 'LTRIM', 'LPUSH', 'RPUSH' }
local CALLS = { 'group_send', 'channel_send', 'group_add', 'group_position', 'group_discard', 'gateway_lease', 'gateway_release', 'gateway_sweep',
  'gateway_retain', 'gateway_collect', 'outgoing_collect', 'outgoing_commit', 'relay_collect', 'relay_commit', 'policy_set', 'mark_read',
  'mark_delivered', 'inbox', 'receipts', 'schedule_cancel', 'schedule_list', 'due_run', 'escalation_claim', 'escalation_finish',
  'escalation_list', 'escalation_retry', 'push_set', 'push_delete', 'user_groups', 'user_erase' }

-- The rights that the caller lacks for a gateway's work, as ACL rules; 'no:COMMAND': this Redis lacks the command. It writes
-- nothing, but is registered as a function that may, so Redis refuses it whenever it refuses writes.
local function gateway_trial(_, args)
  local prefix, database = args[1], whole_number(args[2], 0, 1e6)
  if not prefix or not database then
    return redis.error_reply('ERR tocsin: gateway_trial wants prefix and database, then what else is used: PRESENCE, WAIT, ROLE, LISTS, SCAN, CHANNEL=name')
  end
  local used = {}
  for i = 3, #args do used[args[i]] = true end
  local missing, known = {}, {}
  local function lack(rule)
    if not known[rule] then known[rule] = true; missing[#missing + 1] = rule end
  end
  local function may(command, about)
    local there, allowed
    if not about then there, allowed = pcall(redis.acl_check_cmd, command)
    elseif command == 'SET' then there, allowed = pcall(redis.acl_check_cmd, command, about, 'x')
    else there, allowed = pcall(redis.acl_check_cmd, command, about) end
    if not there then lack('no:' .. command) end
    return not there or allowed
  end
  -- SET is checked with a key and a value only, because its options determine how it accesses the key.
  local function may_at_all(command)
    if command ~= 'SET' then return may(command) end
    return may(command, prefix .. ':tocsin') or may(command, own(prefix, 'policy'))
  end
  local function reached(about, by)
    for _, command in ipairs(by) do
      if may(command, about) then return true end
    end
    return false
  end
  -- Checks the command by itself, and with its key or channel, which `pattern` would grant; `by`: other commands that may reach it.
  local function try(command, about, pattern, by)
    local alone = may_at_all(command)
    if alone and may(command, about) then return end
    local is_reached = reached(about, by)
    if not alone or is_reached then lack('+' .. string.lower(command)) end
    if alone or not is_reached then lack(pattern) end
  end
  local all = {}
  for i, work in ipairs(WORK) do all[i] = work end
  if used.LISTS then all[#all + 1] = LIST_WORK end
  for name in pairs(used) do
    local channel = string.match(name, '^CHANNEL=([%w%-_%.]+)$')
    if channel then all[#all + 1] = { '=' .. channel, 'ZADD', 'ZCARD', 'ZREMRANGEBYSCORE', 'EXPIRE' } end
  end
  for _, work in ipairs(all) do
    local name, pattern = work[1], nil
    if string.find(name, '^:') then name, pattern = prefix .. name, '~' .. prefix .. ':*'
    elseif string.find(name, '^=') then name = prefix .. string.sub(name, 2); pattern = '~' .. name
    elseif string.find(name, '^specific') then name, pattern = prefix .. name, '~' .. prefix .. 'specific.*'
    else name, pattern = own(prefix, name), '~' .. own(prefix, '*') end
    for i = 2, #work do try(work[i], name, pattern, { 'GET', 'EXISTS', 'TTL', 'ZADD', 'HGET', work[i] }) end
  end
  for _, command in ipairs({ 'NUMSUB', 'CHANNELS' }) do
    if not may('PUBSUB', command) then lack('+pubsub|' .. string.lower(command)) end
  end
  for _, command in ipairs({ 'INFO', 'TIME', 'UNSUBSCRIBE', used.WAIT and 'WAIT' or nil }) do
    if not may(command) then lack('+' .. string.lower(command)) end
  end
  if used.ROLE and not may('ROLE') then lack('+role') end
  if used.SCAN and not may('SCAN') then lack('+scan') end
  for _, name in ipairs(CALLS) do
    if not may('FCALL', name) then lack('+fcall|' .. name) end
  end
  if not may('FCALL_RO', 'group_read') then lack('+fcall_ro') end
  local said = { 'PUBLISH', 'SUBSCRIBE' }
  local function hear(channel, pattern) try('SUBSCRIBE', channel, pattern, said) end
  local families = { '__group__', '__gateways__', '__probe__', used.PRESENCE and '__presence__' or nil }
  for _, family in ipairs(families) do
    local channel, pattern = prefix .. family .. 'trial', '&' .. prefix .. family .. '*'
    try('PUBLISH', channel, pattern, said)
    hear(channel, pattern)
  end
  hear(prefix .. '__control', '&' .. prefix .. '__control')
  local bell = '__:' .. prefix .. 'specific.'
  hear('__keyspace@' .. database .. bell .. 'tocsin-00!', '&__keyspace@*' .. bell .. '*')
  return missing
end

