-- Membership ------------------------------------------------------------------------------------------------------

-- Validates everything before the first write. Returns the parsed keys, or nil.
local function parse_group_keys(keys, first)
  local groups = {}
  for i = first, #keys do
    local group = place_of(keys[i])
    if not group then return nil end
    groups[#groups + 1] = group
  end
  return groups
end

-- Join and leave events, for groups whose policy has join_leave. Channel names contain nothing that JSON must escape.
local function tell_presence(group, event, channel, line)
  redis.call('PUBLISH', group.prefix .. '__presence__' .. group.name,
    '{"event":"' .. event .. '","channel":"' .. channel .. '","roster":' .. line .. '}')
end

-- The group's position, created if there is none: for a client that must know the epoch before the first message.
local function group_position(keys)
  local groups = parse_group_keys(keys, 1)
  if not groups or #groups ~= 1 then return redis.error_reply(BAD_GROUP_KEY) end
  local group, _, clock = groups[1], now()
  local refused = refuse_replica(clock)
  if refused then return refused end
  local _, ttl = policy(group)
  return present_position(group, ttl, clock, true)
end

-- A caller that holds a lease identifies itself as 'GW@PROCESS:LINK'. For a name alone the lease is not checked.
local function parse_gateway(text)
  if type(text) ~= 'string' then return nil end
  local gateway, process, link = string.match(text, '^([%w%-_%.]+)@(%x+):(%d+)$')
  if gateway then return gateway, process, tonumber(link) end
  return string.match(text, '^[%w%-_%.]+$')
end

local NO_LEASE = 'ERR tocsin: the gateway does not hold its lease: renew it with gateway_lease first'

-- A command that was given up may still arrive: it has an earlier link and is refused; otherwise its members would stay
-- for as long as the gateway lives.
local function holds_lease(prefix, gateway, process, link)
  if not process then return true end
  local lease = redis.call('HMGET', own(prefix, 'gateway:' .. gateway), 'process', 'link')
  return lease[1] == process and tonumber(lease[2]) == link
end

-- The first of a group's keys with a wrong type; the group's own key if none of the others has.
local function foreign_key_of(group)
  for _, family in ipairs({ 'roster', 'pos', 'log' }) do
    local key = own(group.prefix, family .. ':' .. group.name)
    if is_foreign(key, family) then return key end
  end
  return group.key
end

-- A roster entry: {"user":…,"info":…,"gateway":…,"since":…}. An empty user or info is left out.
local function roster_line(user, info, gateway, seconds)
  local entries = {}
  if user ~= '' then entries[1] = '"user":' .. string.gsub(cjson.encode(user), '\\/', '/') end
  if info ~= '' then entries[#entries + 1] = '"info":' .. info end
  entries[#entries + 1] = string.format('"gateway":"%s","since":%.3f}', gateway, seconds)
  return '{' .. table.concat(entries, ',')
end

-- What is invalid about a connection, or nil.
local function refuse_member(channel, user, info)
  find = string.find
  if not find(channel, '^[%w%-_%.!]+$') then return 'ERR tocsin: a channel has letters, digits, "-", "_", "." and "!" only' end
  if not is_utf8(user) then return 'ERR tocsin: a user is UTF-8' end
  if info ~= '' and not is_json(info) then return 'ERR tocsin: info is JSON (RFC 8259), or an empty text' end
  return nil
end

-- The group's policy follows its position, for the gateway to act on.
local function with_terms(position, size, join_leave, group)
  return position .. (size == 0 and LIVE or '') .. (join_leave and ' presence' or '')
    .. (group.receipts and ' receipts' or '') .. (group.inbox and ' inbox' or '')
end

-- Writes first what a sweep needs to find the rest: functions are not rolled back when a key of a wrong type stops them.
local function group_add(keys, args)
  local groups = parse_group_keys(keys, 1)
  if not groups then return redis.error_reply(BAD_GROUP_KEY) end
  local gateway, process, link = parse_gateway(args[1])
  local expiry = whole_number(args[2], 1, 315360000)
  if not gateway or not expiry or #args ~= 2 + 3 * #groups then
    return redis.error_reply('ERR tocsin: group_add wants gateway, group_expiry, then channel, user and info for each key')
  end
  for i = 3, #args, 3 do
    local refused = refuse_member(args[i], args[i + 1], args[i + 2])
    if refused then return redis.error_reply(refused) end
  end
  if groups[1] and not holds_lease(groups[1].prefix, gateway, process, link) then return redis.error_reply(NO_LEASE) end
  local seconds, clock = now()
  local refused = refuse_replica(clock)
  if refused then return refused end
  local answers, vanished = {}, 0
  for i, group in ipairs(groups) do
    local channel = args[3 * i]
    local size, ttl, join_leave = policy(group)
    redis.call('SADD', own(group.prefix, 'members:' .. gateway), group.name .. ' ' .. channel)
    local line = roster_line(args[3 * i + 1], args[3 * i + 2], gateway, seconds)
    local is_new = redis.call('HSETNX', group.roster, channel, line)
    if is_new == 1 and join_leave then tell_presence(group, 'join', channel, line) end
    local was_gone = redis.call('ZADD', group.key, string.format('%.6f', seconds), group.fleet)
    if was_gone == 1 and is_new == 0 then vanished = vanished + 1 end
    redis.call('EXPIRE', group.key, expiry)
    answers[i] = with_terms(present_position(group, ttl, clock), size, join_leave, group)
  end
  answers[#groups + 1] = vanished
  return answers
end

-- A connection has left the group. The fleet's member stays if somebody may return for something: the group has a log, or
-- the connection was logged in (Django reaches its user's group while the user is away). Without history it goes with the
-- last connection, as do groups that an anonymous client made up and to which nothing was ever sent.
local function let_go(group, line, size, ttl, seconds)
  local retained = own(group.prefix, 'retained')
  local is_last = redis.call('EXISTS', group.roster) == 0
  if size > 0 and (string.find(line, '^{"user":') or is_last and redis.call('EXISTS', group.log) == 1) then
    redis.call('ZADD', retained, string.format('%.0f', seconds + ttl), group.name)
  elseif is_last and (size == 0 or not redis.call('ZSCORE', retained, group.name)) then
    redis.call('ZREM', group.key, group.fleet)
  end
end

local function discard(group, gateway, channel, seconds)
  local line = redis.call('HGET', group.roster, channel)
  if line then
    local size, ttl, join_leave = policy(group)
    redis.call('HDEL', group.roster, channel)
    if join_leave then tell_presence(group, 'leave', channel, line) end
    let_go(group, line, size, ttl, seconds)
  end
  redis.call('SREM', own(group.prefix, 'members:' .. gateway), group.name .. ' ' .. channel)
end

-- The same, whatever the keys' types: what cannot be done now is left to the sweep, which retries it.
-- Returns the key of a wrong type, if any.
local function discard_or_defer(group, gateway, channel, seconds)
  if pcall(discard, group, gateway, channel, seconds) then return nil end
  local entry = group.name .. ' ' .. channel
  redis.pcall('SADD', own(group.prefix, 'unswept'), gateway .. ' ' .. entry)
  redis.pcall('SREM', own(group.prefix, 'members:' .. gateway), entry)
  return note_foreign(group.prefix, foreign_key_of(group), seconds)
end

local function group_discard(keys, args)
  local groups = parse_group_keys(keys, 1)
  if not groups then return redis.error_reply(BAD_GROUP_KEY) end
  local gateway, process, link = parse_gateway(args[1])
  if not gateway or #args ~= 1 + #groups then
    return redis.error_reply('ERR tocsin: group_discard wants gateway, then a channel for each key')
  end
  if groups[1] and not holds_lease(groups[1].prefix, gateway, process, link) then return redis.error_reply(NO_LEASE) end
  local seconds, left = now(), 0
  for i, group in ipairs(groups) do
    if not discard_or_defer(group, gateway, args[1 + i], seconds) then left = left + 1 end
  end
  return left
end

