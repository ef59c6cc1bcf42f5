-- The relay -------------------------------------------------------------------------------------------------------

-- Where an inbox is staged: the key itself; or a second key, while a foreign key has the name of the first, and until
-- everything staged there is gone. Also returns the foreign key.
local function staging_of(key)
  local beside = key .. ':beside'
  if is_foreign(key, 'staging') then return beside, key end
  if redis.call('XLEN', beside) > 0 then return beside end
  return key
end

local RELAY_BYTES = 1048576         -- moved, and returned, in one call, during which Redis does nothing else
local RELAY_MOVES = 1000

-- What reads an inbox of messages, the oldest first: `at(i)` the i-th, nil after the last, and `drop(n)` takes n away.
local function inbox_of(key, heard)
  local prefix = string.match(key, '^(.*)specific%.') or ''
  local is_list = redis.call('TYPE', key).ok == 'list'
    and layer_of(prefix).lists
  if not is_list then
    return function(i) return redis.call('ZRANGE', key, i, i)[1] end,
      function(n) redis.call('ZREMRANGEBYRANK', key, 0, n - 1) end
  end
  if push_of(prefix, heard) == 'LPUSH' then
    return function(i) return redis.call('LINDEX', key, -1 - i) or nil end, function(n) redis.call('LTRIM', key, 0, -1 - n) end
  end
  return function(i) return redis.call('LINDEX', key, i) or nil end, function(n) redis.call('LTRIM', key, n, -1) end
end

-- Takes the oldest messages out of a gateway's own inbox, where channel_layer.send puts what is for one of its connections.
local function gateway_collect(keys, args)
  local limit = whole_number(args[1] or '', 1, 10000)
  if #keys ~= 1 or not limit then return redis.error_reply('ERR tocsin: gateway_collect wants an inbox and a limit') end
  local at, drop = inbox_of(keys[1], args[2])
  local messages, left = {}, RELAY_BYTES
  while #messages < limit and left > 0 do
    local message = at(#messages)
    if not message then break end
    messages[#messages + 1], left = message, left - #message
  end
  if #messages > 0 then drop(#messages) end
  return messages
end

-- Empties the fleet's inbox (channels_redis drops silently what comes on top of its capacity) into the staging stream,
-- and answers the oldest of what is staged. A message leaves the inbox when it is in the stream, not before. One message at
-- a time, so that no call copies more than it may; more: 1 when there is more.
local function relay_collect(keys, args)
  local limit = whole_number(args[1], 1, 10000)
  if #keys ~= 2 or not limit then return redis.error_reply('ERR tocsin: relay_collect wants inbox, staging and a limit') end
  local staging, foreign = staging_of(keys[2])
  local at, drop = inbox_of(keys[1], args[2])
  local moved, more, left = 0, 0, RELAY_BYTES
  while moved < RELAY_MOVES do
    local message = at(moved)
    if not message then break end
    if left <= 0 then more = 1; break end
    local added = redis.pcall('XADD', staging, '*', 'm', message)
    if type(added) == 'table' and added.err then break end
    moved, left = moved + 1, left - #message
  end
  if moved > 0 then drop(moved) end
  local staged, after = {}, '-'
  left = RELAY_BYTES
  while #staged < limit do
    -- An error after the greatest possible id: nothing can follow it.
    local entry = redis.pcall('XRANGE', staging, after, '+', 'COUNT', 1)[1]
    if not entry then break end
    if left <= 0 then more = 1; break end
    staged[#staged + 1] = { entry[1], entry[2][2] }
    after, left = '(' .. entry[1], left - #entry[2][2]
  end
  -- Last, because gateways of version 5 expect it there.
  return { moved, more, foreign or '', staged }
end

-- Commits one staged message, if it is the oldest: sends it to its groups, then removes it. -1: another gateway has done
-- it. -2: an older one must go first. Without groups it is only removed, which is for unreadable messages.
local function relay_commit(keys, args)
  local groups = parse_group_keys(keys, 2)
  if not groups then return redis.error_reply(BAD_GROUP_KEY) end
  if not keys[1] or not args[1] or (not args[2] and #groups > 0) then
    return redis.error_reply('ERR tocsin: relay_commit wants a staging key, an id and, for groups, a message')
  end
  if #groups > 0 then
    local refused = refuse(args[2])
    if refused then return redis.error_reply(refused) end
  end
  local staging = staging_of(keys[1])
  local head = redis.call('XRANGE', staging, '-', '+', 'COUNT', 1)[1]
  if not head or head[1] ~= args[1] then
    return #redis.call('XRANGE', staging, args[1], args[1]) == 0 and -1 or -2
  end
  local seconds, clock = now()
  for _, group in ipairs(groups) do
    local size, ttl = policy(group)
    local position, failed = append(group, args[2], size, ttl, nil, seconds, clock)
    if not position then return failed end
  end
  redis.call('XDEL', staging, args[1])
  return #groups
end

-- The oldest of what waits to be encrypted. What the layer would have forgotten by now is dropped.
local function outgoing_collect(_, args)
  local prefix, limit = args[1], whole_number(args[2] or '', 1, 10000)
  if not prefix or not limit then return redis.error_reply('ERR tocsin: outgoing_collect wants prefix and a limit') end
  local key, seconds = own(prefix, 'outgoing'), now()
  local layer = layer_of(prefix)
  redis.call('XTRIM', key, 'MINID', string.format('%d-0', math.floor((seconds - layer.expiry) * 1000)))
  local entries, after, left = {}, '-', RELAY_BYTES
  while #entries < limit and left > 0 do
    local entry = redis.pcall('XRANGE', key, after, '+', 'COUNT', 1)[1]
    if not entry then break end
    entries[#entries + 1] = { entry[1], entry[2][4] }
    after, left = '(' .. entry[1], left - #entry[2][4]
  end
  return entries
end

-- One of them, encrypted: sent if it is the oldest still there. A channel without room drops it, as a layer's group_send does.
local function outgoing_commit(_, args)
  local prefix, id, token = args[1], args[2], args[3]
  if not token then return redis.error_reply('ERR tocsin: outgoing_commit wants prefix, an id and a token') end
  local key = own(prefix, 'outgoing')
  local head = redis.call('XRANGE', key, '-', '+', 'COUNT', 1)[1]
  if not head or head[1] ~= id then return #redis.call('XRANGE', key, id, id) == 0 and -1 or -2 end
  redis.call('XDEL', key, id)
  local to = head[2][2]
  local channel = string.match(to, '^PUBLISH (.+)$')
  if channel then
    redis.call('PUBLISH', channel, token)
    return 1
  end
  local layer = layer_of(prefix)
  local ms, sequence = string.match(id, '^(%d+)-(%d+)$')
  local mark = string.format('%08x%04x', tonumber(ms) % 0x100000000, tonumber(sequence) % 0x10000)
  pcall(put_on_channel, prefix, to, layer, token, mark, now())
  return 1
end

