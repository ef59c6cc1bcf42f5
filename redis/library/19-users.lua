-- Users -----------------------------------------------------------------------------------------------------------

due.SUBSCRIPTIONS = 20              -- of a user: one for each browser

function due.is_user(text) return type(text) == 'string' and text ~= '' and #text <= 1024 and is_utf8(text) end

-- push_set: prefix, user, id, subscription. The number of the user's subscriptions. Gateways check what they store here.
local function push_set(_, args)
  if #args ~= 4 or not due.is_user(args[2]) or #args[4] > 4096 or not string.find(args[3], '^%x+$') or #args[3] > 64
    or not string.find(args[4], '^%s*{') or not is_json(args[4]) then
    return redis.error_reply('ERR tocsin: push_set wants prefix, user, id (hex, at most 64 digits) and a subscription (a JSON object, at most 4096 bytes)')
  end
  local key = own(args[1], 'push:' .. args[2])
  if redis.call('HEXISTS', key, args[3]) == 0 and redis.call('HLEN', key) >= due.SUBSCRIPTIONS then
    return redis.error_reply('ERR tocsin: the user has ' .. due.SUBSCRIPTIONS .. ' push subscriptions already; remove one first')
  end
  redis.call('HSET', key, args[3], args[4])
  return redis.call('HLEN', key)
end

-- push_delete: prefix, user, id. 1; 0 when there was none.
local function push_delete(_, args)
  if #args ~= 3 then return redis.error_reply('ERR tocsin: push_delete wants prefix, user and id') end
  return redis.call('HDEL', own(args[1], 'push:' .. args[2]), args[3])
end

-- user_groups: prefix, user. The groups that have a record of the user, and those that belong to the user.
local function user_groups(_, args)
  local prefix, user = args[1], args[2]
  if #args ~= 2 or not due.is_user(user) then return redis.error_reply('ERR tocsin: user_groups wants prefix and user') end
  local known, groups = {}, {}
  local function add(name)
    if place_of(prefix .. ':group:' .. name) and not known[name] then known[name] = true; groups[#groups + 1] = name end
  end
  for _, rule in ipairs(policies(prefix, redis.call('GET', own(prefix, 'policy'))).rules) do
    if not string.find(rule.match, '[%*%?]') and string.find(rule.match, '{user}', 1, true) then
      local name = string.gsub(rule.match, '{user}', function() return user end, 1)
      local place = place_of(prefix .. ':group:' .. name)
      if place then
        policy(place)
        if place.owner == user then add(name) end
      end
    end
  end
  for _, name in ipairs(redis.call('SMEMBERS', own(prefix, 'tracked:' .. user))) do add(name) end
  table.sort(groups)
  return groups
end

-- A group that belongs to the user is deleted with everything in it; of another one, the user's record. Whether it was the user's.
function due.erase_group(place, user)
  policy(place)
  redis.call('HDEL', track.key(place, 'seen'), user)
  redis.call('DEL', track.reads(place, user))
  if place.owner ~= user then return end
  redis.call('DEL', place.pos, track.key(place, 'seen'))
  drop_log(place)
  if redis.call('EXISTS', place.roster) == 0 then
    redis.call('ZREM', own(place.prefix, 'retained'), place.name)
    redis.call('ZREM', place.key, place.fleet)
  end
end

-- Whether what is due is about the user: a send or an escalation of the user's own group, or an escalation for the user.
function due.concerns(prefix, member, user)
  local id, name = string.match(member, '^s (%x+@(.+))$')
  local of = nil
  if not id then name, of = string.match(member, '^e %S+ (%S+) %a+ ?(.*)$') end
  local place = name and place_of(prefix .. ':group:' .. name)
  if not place then return false end
  policy(place)
  return place.owner == user or of == user, id
end

-- The sets that have what is to be done for users, in the order in which they are searched. Claims twice, because a task may go from
-- one set to the other meanwhile.
function due.sets(prefix)
  local sets = { 'due', 'dead' }
  for _, name in ipairs(due.names(policies(prefix, redis.call('GET', own(prefix, 'policy'))).targets)) do
    for _, family in ipairs({ 'claims:', 'tasks:', 'claims:' }) do sets[#sets + 1] = family .. name end
  end
  return sets
end

-- Removes what is the user's from some hundred members of one of those sets. The next cursor of ZSCAN.
function due.erase_some(prefix, set, cursor, user)
  local key = own(prefix, set)
  local page = redis.call('ZSCAN', key, cursor, 'COUNT', 500)
  for i = 1, #page[2], 2 do
    local member = page[2][i]
    if set == 'due' then
      local concerns, id = due.concerns(prefix, member, user)
      if concerns then
        redis.call('ZREM', key, member)
        if id then redis.call('HDEL', own(prefix, 'scheduled'), id) end
      end
    else
      local task = own(prefix, 'task:' .. (string.match(member, '(esc_.*)$') or member))
      if redis.call('HGET', task, 'user') == user then redis.call('ZREM', key, member); redis.call('DEL', task) end
    end
  end
  return page[1]
end

-- The same for entries of `escalations` after an id. The last id; nil at the end.
function due.erase_entries(prefix, after, user)
  local stream, left = own(prefix, 'escalations'), RELAY_BYTES
  while left > 0 do
    local entry = redis.call('XRANGE', stream, after == '-' and '-' or '(' .. after, '+', 'COUNT', 1)[1]
    if not entry then return nil end
    for i = 1, #entry[2], 2 do
      if entry[2][i] == 'user' and entry[2][i + 1] == user then redis.call('XDEL', stream, entry[1]) end
      left = left - #entry[2][i + 1]
    end
    after, left = entry[1], left - 256
  end
  return after
end

-- user_erase: prefix, user, cursor (0 at first). Removes what is kept of a user: groups that are the user's with everything in them,
-- records in others, push subscriptions, what is due, tasks, escalations. The next cursor; 0: done. A cursor is 'SET CURSOR', after the
-- first call, so that no call is long.
local function user_erase(_, args)
  local prefix, user, cursor = args[1], args[2], args[3] or '0'
  local set, at = string.match(cursor, '^(%S+) (%S+)$')
  if #args < 2 or #args > 3 or not due.is_user(user) or cursor ~= '0' and not set then
    return redis.error_reply('ERR tocsin: user_erase wants prefix, user and, if you like, the cursor that it answered')
  end
  if cursor == '0' then
    for _, name in ipairs(user_groups({}, { prefix, user })) do due.erase_group(place_of(prefix .. ':group:' .. name), user) end
    redis.call('DEL', own(prefix, 'tracked:' .. user), own(prefix, 'push:' .. user))
    return 'due.1 0'
  end
  if set == 'escalations' then
    local after = due.erase_entries(prefix, at, user)
    return after and 'escalations ' .. after or '0'
  end
  local sets, name, n = due.sets(prefix), string.match(set, '^(.+)%.(%d+)$')
  n = tonumber(n) or #sets
  if sets[n] == name then
    at = due.erase_some(prefix, name, at, user)
    if at ~= '0' then return set .. ' ' .. at end
  end
  if not sets[n + 1] then return 'escalations -' end
  return string.format('%s.%d 0', sets[n + 1], n + 1)
end

